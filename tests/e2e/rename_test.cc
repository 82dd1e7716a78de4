// Renaming.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "tests/e2e/operations.h"

namespace bt::e2e {
namespace {

namespace fs = std::filesystem;

using Renaming = Operations;

TEST_F(Renaming, MovesReplacesAndRefusesLikeTheServer) {
  ExpectSameOnBothSides([](const fs::path& dir, Record& record) {
    const auto rename = [&](const char* what, const char* from, const char* to) {
      record.Call(what, ::rename((dir / from).c_str(), (dir / to).c_str()));
    };
    WriteFile(dir / "a", "a");
    WriteFile(dir / "b", "b");
    fs::create_directories(dir / "empty");
    fs::create_directories(dir / "full/inside");
    fs::create_directories(dir / "moving/deep");
    WriteFile(dir / "moving/deep/f", "f");
    rename("to a new name", "a", "c");
    rename("over a file", "c", "b");
    record.Value("replaced", ReadFile(dir / "b"));
    rename("nothing", "nothing", "x");
    rename("to below nothing", "b", "x/y");
    rename("a file over a directory", "b", "empty");
    rename("a directory over a file", "empty", "b");
    rename("a directory over a full one", "moving", "full");
    rename("a directory into itself", "full", "full/inside/x");
    rename("a directory over an empty one", "moving", "empty");
    record.Value("what was below", ReadFile(dir / "empty/deep/f"));
    rename("to itself", "b", "b");
    rename("into another directory", "b", "full/b");
  });
}

TEST_F(Renaming, WithNoReplaceKeepsWhatIsThere) {
  ExpectSameOnBothSides([](const fs::path& dir, Record& record) {
    const auto rename = [&](const char* what, const char* from, const char* to) {
      record.Call(what, ::renameat2(AT_FDCWD, (dir / from).c_str(), AT_FDCWD, (dir / to).c_str(), RENAME_NOREPLACE));
    };
    WriteFile(dir / "a", "a");
    WriteFile(dir / "b", "b");
    fs::create_directories(dir / "d/below");
    fs::create_directories(dir / "e");
    rename("over a file", "a", "b");
    rename("over a directory", "a", "d");
    rename("to a new name", "a", "c");
    rename("a directory over a directory", "d", "e");
    rename("a directory to a new name", "d", "g");
  });
}

TEST_F(Renaming, CannotExchange) {
  WriteFile(mount() / "a", "a");
  WriteFile(mount() / "b", "b");
  EXPECT_EQ(::renameat2(AT_FDCWD, (mount() / "a").c_str(), AT_FDCWD, (mount() / "b").c_str(), RENAME_EXCHANGE), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(ReadFile(server() / "a"), "a");
}

TEST_F(Renaming, ReplacesAFileThatIsOpenWithoutDisturbingItsReader) {
  ExpectSameOnBothSides([](const fs::path& dir, Record& record) {
    WriteFile(dir / "target", "the old content");
    WriteFile(dir / "fresh", "new");
    const UniqueFd reader(::open((dir / "target").c_str(), O_RDONLY | O_CLOEXEC));
    record.Call("rename", ::rename((dir / "fresh").c_str(), (dir / "target").c_str()));
    std::string bytes(100, '\0');
    const ssize_t got = ::pread(reader.get(), bytes.data(), bytes.size(), 0);
    record.Value("the reader sees", bytes.substr(0, static_cast<std::size_t>(std::max<ssize_t>(got, 0))));
    record.Value("the name leads to", ReadFile(dir / "target"));
  });
}

}  // namespace
}  // namespace bt::e2e
