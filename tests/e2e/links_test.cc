// Hard links and symlinks.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "tests/e2e/operations.h"

namespace bt::e2e {
namespace {

namespace fs = std::filesystem;

using Links = Operations;

TEST_F(Links, HardLinksShareTheirContent) {
  ExpectSameOnBothSides([](const fs::path& dir, Record& record) {
    WriteFile(dir / "a", "one");
    fs::create_directory(dir / "d");
    const auto link = [&](const char* what, const char* from, const char* to) {
      record.Call(what, ::link((dir / from).c_str(), (dir / to).c_str()));
    };
    link("new", "a", "d/b");
    link("over something", "a", "d/b");
    link("of nothing", "nothing", "c");
    link("of a directory", "d", "e");
    WriteFile(dir / "d/b", "another text");
    record.Value("through the first name", ReadFile(dir / "a"));
    record.Call("unlink", ::unlink((dir / "a").c_str()));
    record.Value("through the second name", ReadFile(dir / "d/b"));
    link("a second one, to see its count", "d/b", "a");
  });
}

TEST_F(Links, SymlinksAreMadeAndReadAsTheyAre) {
  ExpectSameOnBothSides([](const fs::path& dir, Record& record) {
    WriteFile(dir / "file", "content");
    fs::create_directory(dir / "d");
    const auto symlink = [&](const char* what, const std::string& target, const char* name) {
      record.Call(what, ::symlink(target.c_str(), (dir / name).c_str()));
    };
    symlink("relative", "../file", "d/up");
    record.Value("followed", ReadFile(dir / "d/up"));
    record.Value("read", fs::read_symlink(dir / "d/up").string());
    symlink("dangling", "no such thing", "dangling");
    record.Value("read", fs::read_symlink(dir / "dangling").string());
    record.Call("follow", ::open((dir / "dangling").c_str(), O_RDONLY | O_CLOEXEC));
    symlink("long", std::string(1000, 'x'), "long");
    symlink("odd bytes", "sp ace\nline \xff\xfe", "odd");
    symlink("over something", "x", "file");
    symlink("loop", "loop", "loop");
    record.Call("follow the loop", ::open((dir / "loop").c_str(), O_RDONLY | O_CLOEXEC));
    std::string text(100, '\0');
    record.Call("read one that is none", ::readlink((dir / "file").c_str(), text.data(), text.size()));
    struct stat found {};
    record.Call("lstat", ::lstat((dir / "d/up").c_str(), &found));
    record.Value("size", found.st_size);
    record.Call("unlink", ::unlink((dir / "dangling").c_str()));
  });
}

TEST_F(Links, AbsoluteSymlinksThatStayInsideLeadToTheSameFile) {
  fs::create_directories(server() / "a/b");
  WriteFile(server() / "a/target", "inside");
  fs::create_symlink(server() / "a/target", server() / "a/b/link");
  EXPECT_EQ(fs::read_symlink(mount() / "a/b/link"), "../target");
  EXPECT_EQ(ReadFile(mount() / "a/b/link"), "inside");
}

TEST_F(Links, AbsoluteSymlinksThatLeaveTheMountDoNotLeadIntoThisMachine) {
  WriteFile(local() / "secret", "of this machine");
  fs::create_symlink(local() / "secret", server() / "link");
  struct stat found {};
  EXPECT_EQ(::lstat((mount() / "link").c_str(), &found), 0);
  EXPECT_TRUE(S_ISLNK(found.st_mode));
  EXPECT_NE(fs::read_symlink(mount() / "link").string().find("secret"), std::string::npos);
  EXPECT_EQ(::open((mount() / "link").c_str(), O_RDONLY | O_CLOEXEC), -1);
}

class RawLinks : public ServiceTest {};

TEST_F(RawLinks, ShowTheServersText) {
  Mount({"--symlinks=raw"});
  WriteFile(local() / "elsewhere", "of this machine");
  fs::create_symlink(local() / "elsewhere", server() / "link");
  EXPECT_EQ(fs::read_symlink(mount() / "link"), local() / "elsewhere");
  EXPECT_EQ(ReadFile(mount() / "link"), "of this machine");
}

}  // namespace
}  // namespace bt::e2e
