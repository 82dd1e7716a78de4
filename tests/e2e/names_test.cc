// Names: long ones, and any bytes but '/' and NUL.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>

#include "tests/e2e/operations.h"

namespace bt::e2e {
namespace {

namespace fs = std::filesystem;

using NamesThroughTheMount = Operations;

const std::vector<std::string>& OddNames() {
  static const std::vector<std::string> kNames{
      "sp ace", " leading", "trailing ",   "new\nline",      "tab\t",           "\xff\xfe not UTF-8",
      "grüße",  "日本語",   "back\\slash", "quote'\"",       "*?[a]",           "-rf",
      "#hash",  "...",      ".hidden",     "\x01\x7f",       "a,b=c;d|e",       "%s%n",
      "~",      "$HOME",    "co:on",       "é vs e\xcc\x81", "\xf0\x9f\x98\x80"};
  return kNames;
}

TEST_F(NamesThroughTheMount, MayHoldAnyBytes) {
  ExpectSameOnBothSides([](const fs::path& dir, Record& record) {
    for (const std::string& name : OddNames()) {
      record.Call(name, ::mkdir((dir / name).c_str(), 0755));
      WriteFile(dir / name / name, name);
      record.Value("content", ReadFile(dir / name / name));
      record.Call("rename", ::rename((dir / name / name).c_str(), (dir / name / (name + "2")).c_str()));
      record.Call("link", ::symlink(name.c_str(), (dir / (name + " link")).c_str()));
    }
    std::set<std::string> listed;
    for (const auto& entry : fs::directory_iterator(dir)) {
      listed.insert(entry.path().filename().string());
    }
    for (const std::string& name : listed) {
      record.Value("listed", name);
    }
  });
}

TEST_F(NamesThroughTheMount, MayBe255BytesAndNotMore) {
  ExpectSameOnBothSides([](const fs::path& dir, Record& record) {
    const std::string longest(255, 'n');
    WriteFile(dir / longest, "content");
    record.Value("read", ReadFile(dir / longest));
    struct stat found {};
    record.Call("stat of 255", ::stat((dir / longest).c_str(), &found));
    record.Call("stat of 256", ::stat((dir / std::string(256, 'n')).c_str(), &found));
    record.Call("make 256", ::mkdir((dir / std::string(256, 'n')).c_str(), 0755));
    record.Call("rename to 256", ::rename((dir / longest).c_str(), (dir / std::string(256, 'm')).c_str()));
  });
}

TEST_F(NamesThroughTheMount, MayNestDeeply) {
  ExpectSameOnBothSides([](const fs::path& dir, Record& record) {
    fs::path deep = dir;
    for (int level = 0; level < 40; ++level) {
      deep /= "a directory with a rather long name";
    }
    fs::create_directories(deep);
    WriteFile(deep / "f", "deep");
    record.Value("read", ReadFile(deep / "f"));
  });
}

}  // namespace
}  // namespace bt::e2e
