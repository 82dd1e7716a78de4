// Making, removing and listing directories.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <set>

#include <fmt/format.h>

#include "tests/e2e/operations.h"

namespace bt::e2e {
namespace {

namespace fs = std::filesystem;

using Directories = Operations;

struct DirectoryCloser {
  void operator()(DIR* directory) const { ::closedir(directory); }
};
using OpenDirectory = std::unique_ptr<DIR, DirectoryCloser>;

std::set<std::string> Names(const fs::path& directory) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) {
    EXPECT_TRUE(names.insert(entry.path().filename().string()).second) << "listed twice: " << entry.path();
  }
  return names;
}

TEST_F(Directories, AreMadeAndRemoved) {
  ExpectSameOnBothSides([](const fs::path& dir, Record& record) {
    record.Call("make", ::mkdir((dir / "d").c_str(), 0755));
    record.Call("make again", ::mkdir((dir / "d").c_str(), 0755));
    record.Call("make below nothing", ::mkdir((dir / "x/y").c_str(), 0755));
    record.Call("make with all bits", ::mkdir((dir / "open").c_str(), 0777));
    record.Call("make private", ::mkdir((dir / "private").c_str(), 0700));
    WriteFile(dir / "d/f", "x");
    record.Call("make below a file", ::mkdir((dir / "d/f/x").c_str(), 0755));
    record.Call("remove, not empty", ::rmdir((dir / "d").c_str()));
    record.Call("remove a file", ::rmdir((dir / "d/f").c_str()));
    record.Call("remove nothing", ::rmdir((dir / "nothing").c_str()));
    record.Call("unlink a directory", ::unlink((dir / "open").c_str()) == 0 ? 0 : -1);
    record.Call("unlink", ::unlink((dir / "d/f").c_str()));
    record.Call("unlink again", ::unlink((dir / "d/f").c_str()));
    record.Call("remove, empty", ::rmdir((dir / "d").c_str()));
    record.Call("remove again", ::rmdir((dir / "d").c_str()));
  });
}

TEST_F(Directories, OfTenThousandEntriesAreListedWhole) {
  std::set<std::string> names;
  fs::create_directory(server() / "many");
  for (int i = 0; i < 10'000; ++i) {
    const std::string name = fmt::format("entry number {} {}", i, std::string(static_cast<std::size_t>(i) % 60, 'x'));
    names.insert(name);
    if (i % 10 == 0) {
      fs::create_directory(server() / "many" / name);
    } else {
      WriteFile(server() / "many" / name, "");
    }
  }
  EXPECT_TRUE(Names(mount() / "many") == names);
  const Finished listed = Shell("ls -lU --color=never $M/many | tail -n +2 | wc -l; find $M/many -type d | wc -l");
  EXPECT_EQ(listed.out, "10000\n1001\n") << listed.err;
}

TEST_F(Directories, TellTheTypesOfTheirEntries) {
  WriteFile(server() / "file", "");
  fs::create_directory(server() / "directory");
  fs::create_symlink("file", server() / "link");
  ASSERT_EQ(::mkfifo((server() / "fifo").c_str(), 0600), 0);
  const OpenDirectory directory(::opendir(mount().c_str()));
  std::map<std::string, int> types;
  while (const dirent* entry = ::readdir(directory.get())) {
    types[entry->d_name] = entry->d_type;
  }
  EXPECT_EQ(types, (std::map<std::string, int>{{".", DT_DIR},
                                               {"..", DT_DIR},
                                               {"file", DT_REG},
                                               {"directory", DT_DIR},
                                               {"link", DT_LNK},
                                               {"fifo", DT_FIFO}}));
}

TEST_F(Directories, ThatChangeWhileListedShowWhatWasThereAllTheTimeExactlyOnce) {
  fs::create_directory(mount() / "d");
  std::set<std::string> stays;
  for (int i = 0; i < 600; ++i) {
    stays.insert(fmt::format("stays-{}", i));
    WriteFile(server() / "d" / fmt::format("stays-{}", i), "");
    WriteFile(server() / "d" / fmt::format("goes-{}", i), "");
  }
  const OpenDirectory directory(::opendir((mount() / "d").c_str()));
  std::multiset<std::string> seen;
  int steps = 0;
  while (const dirent* entry = ::readdir(directory.get())) {
    if (std::string(entry->d_name).starts_with("stays")) {
      seen.insert(entry->d_name);
    }
    if (steps++ < 100) {
      WriteFile(mount() / "d" / fmt::format("comes-{}", steps), "");
      fs::remove(mount() / "d" / fmt::format("goes-{}", steps));
    }
  }
  EXPECT_TRUE(seen == std::multiset<std::string>(stays.begin(), stays.end()));
  EXPECT_EQ(Names(mount() / "d").size(), Names(server() / "d").size());
}

TEST_F(Directories, CanBeRewoundAndContinuedFromAPosition) {
  for (int i = 0; i < 300; ++i) {
    WriteFile(server() / fmt::format("f{}", i), "");
  }
  const OpenDirectory directory(::opendir(mount().c_str()));
  std::vector<std::string> names;
  std::vector<long> positions;
  while (const dirent* entry = ::readdir(directory.get())) {
    names.emplace_back(entry->d_name);
    positions.push_back(::telldir(directory.get()));
  }
  ASSERT_EQ(names.size(), 302U);
  ::seekdir(directory.get(), positions[150]);
  EXPECT_EQ(::readdir(directory.get())->d_name, names[151]);
  ::rewinddir(directory.get());
  EXPECT_EQ(::readdir(directory.get())->d_name, names[0]);
}

TEST_F(Directories, ShowWithinSecondsWhatTheServerChanges) {
  EXPECT_TRUE(Names(mount()).empty());
  WriteFile(server() / "new", "");
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (Names(mount()).empty() && std::chrono::steady_clock::now() < deadline) {
    ::usleep(50'000);
  }
  EXPECT_EQ(Names(mount()), std::set<std::string>{"new"});
}

TEST_F(Directories, CanBeFlushed) {
  fs::create_directory(mount() / "d");
  const UniqueFd fd(::open((mount() / "d").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  EXPECT_EQ(::fsync(fd.get()), 0);
}

}  // namespace
}  // namespace bt::e2e
