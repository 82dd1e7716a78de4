// Opening, reading and writing.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "tests/e2e/operations.h"
#include "transport/base/unique_fd.h"

namespace bt::e2e {
namespace {

namespace fs = std::filesystem;

using Files = Operations;

UniqueFd Open(const fs::path& file, int flags, mode_t mode = 0644) {
  return UniqueFd(::open(file.c_str(), flags | O_CLOEXEC, mode));
}

std::string ReadAt(int fd, std::size_t size, off_t offset) {
  std::string bytes(size, '\0');
  const ssize_t got = ::pread(fd, bytes.data(), size, offset);
  bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return bytes;
}

TEST_F(Files, AreCreatedWrittenReadAndAppendedTo) {
  ExpectSameOnBothSides([](const fs::path& dir, Record& record) {
    WriteFile(dir / "a", "hello");
    record.Value("read", ReadFile(dir / "a"));
    UniqueFd fd = Open(dir / "a", O_WRONLY | O_APPEND);
    record.Call("append", ::write(fd.get(), " world", 6));
    record.Call("seek", ::lseek(fd.get(), 0, SEEK_CUR));
    fd.Reset();
    record.Value("read again", ReadFile(dir / "a"));
    WriteFile(dir / "empty", "");
    WriteFile(dir / "big", Noise(3'000'001));
    record.Value("read big", ReadFile(dir / "big"));
    fd = Open(dir / "big", O_RDWR);
    record.Call("overwrite", ::pwrite(fd.get(), "in the middle", 13, 1'234'567));
    record.Value("around", ReadAt(fd.get(), 40, 1'234'560));
    record.Value("past the end", ReadAt(fd.get(), 40, 5'000'000));
    record.Value("across the end", ReadAt(fd.get(), 40, 2'999'990));
  });
}

TEST_F(Files, OpenFlagsMeanWhatTheyMean) {
  ExpectSameOnBothSides([](const fs::path& dir, Record& record) {
    WriteFile(dir / "there", "old text");
    fs::create_directory(dir / "directory");
    const auto open = [&](const char* what, const char* name, int flags) {
      const UniqueFd fd = Open(dir / name, flags);
      record.Call(what, fd.get());
    };
    open("missing", "missing", O_RDONLY);
    open("missing below a file", "there/x", O_RDONLY);
    open("exclusive, there", "there", O_WRONLY | O_CREAT | O_EXCL);
    open("exclusive, new", "new", O_WRONLY | O_CREAT | O_EXCL);
    open("exclusive again", "new", O_WRONLY | O_CREAT | O_EXCL);
    open("directory for writing", "directory", O_WRONLY);
    open("directory to create", "directory", O_WRONLY | O_CREAT);
    open("file as a directory", "there", O_RDONLY | O_DIRECTORY);
    open("create, there", "there", O_RDONLY | O_CREAT);
    record.Value("kept", ReadFile(dir / "there"));
    open("truncate", "there", O_WRONLY | O_TRUNC);
    record.Value("truncated", ReadFile(dir / "there"));
    const UniqueFd read_only = Open(dir / "there", O_RDONLY);
    record.Call("write to a read-only handle", ::write(read_only.get(), "x", 1));
    const UniqueFd created = Open(dir / "read-only from birth", O_WRONLY | O_CREAT, 0400);
    record.Call("write to a new file without write permission", ::write(created.get(), "x", 1));
  });
}

TEST_F(Files, OfTwoAppendingHandlesNeitherOverwritesTheOther) {
  ExpectSameOnBothSides([](const fs::path& dir, Record& record) {
    const UniqueFd one = Open(dir / "log", O_WRONLY | O_CREAT | O_APPEND);
    const UniqueFd two = Open(dir / "log", O_WRONLY | O_APPEND);
    for (int round = 0; round < 20; ++round) {
      record.Call("one", ::write(one.get(), "one ", 4));
      record.Call("two", ::write(two.get(), "two;", 4));
    }
  });
}

TEST_F(Files, GrowAndShrinkByPathAndByHandle) {
  ExpectSameOnBothSides([](const fs::path& dir, Record& record) {
    WriteFile(dir / "f", Noise(300'000));
    record.Call("down by path", ::truncate((dir / "f").c_str(), 100'001));
    record.Value("after", ReadFile(dir / "f"));
    record.Call("up by path", ::truncate((dir / "f").c_str(), 200'000));
    record.Value("after", ReadFile(dir / "f"));
    const UniqueFd fd = Open(dir / "f", O_RDWR);
    record.Call("write", ::pwrite(fd.get(), Noise(50'000, 2).data(), 50'000, 180'000));
    record.Call("down by handle, before the write is at rest", ::ftruncate(fd.get(), 190'000));
    record.Value("after", ReadAt(fd.get(), 300'000, 0));
    record.Call("up by handle", ::ftruncate(fd.get(), 250'000));
    record.Call("write behind", ::pwrite(fd.get(), "end", 3, 249'997));
    struct stat found {};
    record.Call("stat", ::fstat(fd.get(), &found));
    record.Value("size", found.st_size);
    record.Call("negative", ::truncate((dir / "f").c_str(), -1));
    record.Call("missing", ::truncate((dir / "missing").c_str(), 0));
    record.Call("to nothing", ::truncate((dir / "f").c_str(), 0));
  });
}

TEST_F(Files, VectorsArriveInOrder) {
  ExpectSameOnBothSides([](const fs::path& dir, Record& record) {
    const UniqueFd fd = Open(dir / "f", O_RDWR | O_CREAT);
    std::string first = Noise(70'000, 3);
    std::string second = Noise(1, 4);
    std::string third = Noise(400'000, 5);
    const std::array<iovec, 3> parts{iovec{first.data(), first.size()}, iovec{second.data(), second.size()},
                                     iovec{third.data(), third.size()}};
    record.Value("written", ::pwritev(fd.get(), parts.data(), static_cast<int>(parts.size()), 11));
    record.Value("read", ReadAt(fd.get(), 500'000, 0));
  });
}

TEST_F(Files, ThatAreRemovedWhileOpenGoOnWorking) {
  ExpectSameOnBothSides([](const fs::path& dir, Record& record) {
    WriteFile(dir / "f", "first ");
    const UniqueFd fd = Open(dir / "f", O_RDWR | O_APPEND);
    record.Call("unlink", ::unlink((dir / "f").c_str()));
    record.Call("write", ::write(fd.get(), "second", 6));
    record.Call("fsync", ::fsync(fd.get()));
    record.Value("read", ReadAt(fd.get(), 100, 0));
    record.Call("open by name", Open(dir / "f", O_RDONLY).get());
    WriteFile(dir / "f", "another");
    record.Value("read", ReadAt(fd.get(), 100, 0));
    struct stat found {};
    record.Call("stat", ::fstat(fd.get(), &found));
    record.Value("size", found.st_size);
  });
}

TEST_F(Files, ThatAreRenamedWhileOpenGoOnWorking) {
  ExpectSameOnBothSides([](const fs::path& dir, Record& record) {
    fs::create_directory(dir / "away");
    WriteFile(dir / "f", "first ");
    const UniqueFd fd = Open(dir / "f", O_RDWR | O_APPEND);
    record.Call("write", ::write(fd.get(), "second ", 7));
    record.Call("rename", ::rename((dir / "f").c_str(), (dir / "away/g").c_str()));
    record.Call("write", ::write(fd.get(), "third ", 6));
    record.Call("rename its directory", ::rename((dir / "away").c_str(), (dir / "moved").c_str()));
    record.Call("write", ::write(fd.get(), "fourth", 6));
    record.Call("truncate", ::ftruncate(fd.get(), 22));
    record.Value("read", ReadAt(fd.get(), 100, 0));
  });
}

TEST_F(Files, AreOnTheServerWhenFsyncReturnsAndWhenCloseReturns) {
  const std::string bytes = Noise(5'000'000);
  UniqueFd fd = Open(mount() / "f", O_WRONLY | O_CREAT);
  ASSERT_EQ(::write(fd.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  ASSERT_EQ(::fsync(fd.get()), 0);
  EXPECT_TRUE(ReadFile(server() / "f") == bytes);
  ASSERT_EQ(::write(fd.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  ASSERT_EQ(::close(fd.Release()), 0);
  EXPECT_TRUE(ReadFile(server() / "f") == bytes + bytes);
  EXPECT_EQ(service().counters().sftp.requests["fsync"], 1U);
}

TEST_F(Files, TellOnceAtTheLatestOnCloseThatAWriteFailed) {
  UniqueFd fd = Open(mount() / "f", O_WRONLY | O_CREAT);
  ASSERT_TRUE(service().node(0).ArmFault({.action = tap::Action::kFail, .request = "write", .times = 0}).ok());
  const std::string bytes(1'000'000, 'x');
  const bool written = ::write(fd.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
  const bool closed = ::close(fd.Release()) == 0;
  EXPECT_FALSE(written && closed);
  fd = Open(mount() / "g", O_WRONLY | O_CREAT);
  const bool written_too = ::write(fd.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
  EXPECT_FALSE(written_too && ::fsync(fd.get()) == 0);
  fd.Reset();
  service().node(0).ClearFaults();
  WriteFile(mount() / "h", bytes);  // and the mount lives
  EXPECT_TRUE(ReadFile(server() / "h") == bytes);
}

TEST_F(Files, FailReadingWithAnErrorAndNeverWithLessData) {
  WriteFile(server() / "f", Noise(1'000'000));
  const UniqueFd fd = Open(mount() / "f", O_RDONLY);
  ASSERT_TRUE(service().node(0).ArmFault({.action = tap::Action::kFail, .request = "read", .times = 0}).ok());
  std::array<char, 4096> chunk{};
  EXPECT_EQ(::pread(fd.get(), chunk.data(), chunk.size(), 500'000), -1);
  EXPECT_EQ(errno, EIO);
  service().node(0).ClearFaults();
  EXPECT_EQ(ReadAt(fd.get(), 4096, 500'000), Noise(1'000'000).substr(500'000, 4096));
}

TEST_F(Files, OfFiveGibibytesWithDataAtTheirEndAreReadWrittenAndMeasured) {
  constexpr off_t kSize = 5LL << 30U;
  {
    const UniqueFd made = Open(server() / "down", O_RDWR | O_CREAT);
    ASSERT_EQ(::pwrite(made.get(), "the end", 7, kSize - 7), 7);
  }
  struct stat found {};
  ASSERT_EQ(::stat((mount() / "down").c_str(), &found), 0);
  EXPECT_EQ(found.st_size, kSize);
  UniqueFd fd = Open(mount() / "down", O_RDONLY);
  EXPECT_EQ(ReadAt(fd.get(), 20, kSize - 10), std::string(3, '\0') + "the end");
  EXPECT_EQ(ReadAt(fd.get(), 20, (4LL << 30U) - 10), std::string(20, '\0'));

  fd = Open(mount() / "up", O_RDWR | O_CREAT);
  ASSERT_EQ(::pwrite(fd.get(), "the end", 7, kSize - 7), 7);
  EXPECT_EQ(ReadAt(fd.get(), 20, kSize - 10), std::string(3, '\0') + "the end");
  ASSERT_EQ(::fsync(fd.get()), 0);
  ASSERT_EQ(::stat((server() / "up").c_str(), &found), 0);
  EXPECT_EQ(found.st_size, kSize);
  EXPECT_LT(found.st_blocks, 1000) << "the hole was written out";
  EXPECT_EQ(ReadAt(Open(server() / "up", O_RDONLY).get(), 20, kSize - 10), std::string(3, '\0') + "the end");
}

TEST_F(Files, AreCopiedByCopyFileRange) {
  WriteFile(server() / "from", Noise(2'000'000));
  const UniqueFd from = Open(mount() / "from", O_RDONLY);
  const UniqueFd into = Open(mount() / "into", O_RDWR | O_CREAT);
  off_t in = 1000;
  off_t out = 0;
  while (in < 1'900'000) {
    ASSERT_GT(::copy_file_range(from.get(), &in, into.get(), &out, static_cast<std::size_t>(1'900'000 - in), 0), 0)
        << std::strerror(errno);
  }
  ASSERT_EQ(::fsync(into.get()), 0);
  EXPECT_TRUE(ReadFile(server() / "into") == Noise(2'000'000).substr(1000, 1'899'000));
  EXPECT_TRUE(ReadAt(into.get(), 2'000'000, 0) == Noise(2'000'000).substr(1000, 1'899'000));
}

TEST_F(Files, AreReadAroundTheKernelsCacheWithODirect) {
  WriteFile(server() / "f", Noise(1'000'000));
  const UniqueFd fd = Open(mount() / "f", O_RDONLY | O_DIRECT);
  ASSERT_TRUE(fd) << std::strerror(errno);
  constexpr std::size_t kSize = 256 * 1024;
  const std::unique_ptr<char, decltype(&std::free)> buffer(static_cast<char*>(std::aligned_alloc(4096, kSize)),
                                                           &std::free);
  ASSERT_EQ(::pread(fd.get(), buffer.get(), kSize, 4096), static_cast<ssize_t>(kSize));
  EXPECT_TRUE(std::string(buffer.get(), kSize) == Noise(1'000'000).substr(4096, kSize));
  EXPECT_EQ(::pread(fd.get(), buffer.get(), kSize, 999'424), 576);
}

TEST_F(Files, ShowWithinSecondsWhatTheServerWroteToWhoOpensThemAnew) {
  WriteFile(mount() / "f", "mine");
  EXPECT_EQ(ReadFile(mount() / "f"), "mine");
  WriteFile(server() / "f", "theirs, and longer");
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (ReadFile(mount() / "f") != "theirs, and longer" && std::chrono::steady_clock::now() < deadline) {
    ::usleep(50'000);
  }
  EXPECT_EQ(ReadFile(mount() / "f"), "theirs, and longer");
}

}  // namespace
}  // namespace bt::e2e
