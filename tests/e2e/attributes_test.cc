// Permissions, owners, times, sizes, and what SFTP cannot do.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>
#include <thread>

#include "tests/e2e/operations.h"

namespace bt::e2e {
namespace {

namespace fs = std::filesystem;

using AttributesThroughTheMount = Operations;

void RecordStat(const char* what, const fs::path& path, Record& record) {
  struct stat found {};
  record.Call(what, ::stat(path.c_str(), &found));
  record.Value("mode", found.st_mode);
  record.Value("uid", found.st_uid);
  record.Value("gid", found.st_gid);
  record.Value("atime", found.st_atim.tv_sec);
  record.Value("mtime", found.st_mtim.tv_sec);
}

TEST_F(AttributesThroughTheMount, PermissionsAndOwnersAreTheServers) {
  ExpectSameOnBothSides([](const fs::path& dir, Record& record) {
    WriteFile(dir / "f", "x");
    ::mkdir((dir / "d").c_str(), 0755);
    for (const mode_t mode : {0600U, 0777U, 04755U, 02711U, 01777U, 0U, 0444U}) {
      record.Call("chmod file", ::chmod((dir / "f").c_str(), mode));
      record.Call("chmod directory", ::chmod((dir / "d").c_str(), mode));
      struct stat found {};
      record.Call("stat", ::stat((dir / "f").c_str(), &found));
      record.Value("mode", found.st_mode);
    }
    const UniqueFd fd(::open((dir / "f").c_str(), O_RDONLY | O_CLOEXEC));
    record.Call("fchmod", ::fchmod(fd.get(), 0640));
    record.Call("chown", ::chown((dir / "f").c_str(), 1234, 5678));
    record.Call("chown the group only", ::chown((dir / "d").c_str(), static_cast<uid_t>(-1), 77));
    struct stat found {};
    record.Call("stat", ::stat((dir / "f").c_str(), &found));
    record.Value("uid", found.st_uid);
    record.Value("gid", found.st_gid);
    record.Call("chmod nothing", ::chmod((dir / "nothing").c_str(), 0600));
  });
}

TEST_F(AttributesThroughTheMount, TimesAreSetKeptAndSetToNow) {
  ExpectSameOnBothSides([](const fs::path& dir, Record& record) {
    WriteFile(dir / "f", "x");
    ::mkdir((dir / "d").c_str(), 0755);
    for (const char* name : {"f", "d"}) {
      const fs::path path = dir / name;
      const std::array<timespec, 2> both{timespec{1'000'000'000, 0}, timespec{1'234'567'890, 0}};
      record.Call("set both", ::utimensat(AT_FDCWD, path.c_str(), both.data(), 0));
      RecordStat("after", path, record);
      const std::array<timespec, 2> one{timespec{0, UTIME_OMIT}, timespec{1'500'000'000, 0}};
      record.Call("leave atime", ::utimensat(AT_FDCWD, path.c_str(), one.data(), 0));
      RecordStat("after", path, record);
      const std::array<timespec, 2> other{timespec{1'600'000'000, 0}, timespec{0, UTIME_OMIT}};
      record.Call("leave mtime", ::utimensat(AT_FDCWD, path.c_str(), other.data(), 0));
      RecordStat("after", path, record);
    }
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(300));  // times of a file just closed may be on their way
  const std::array<timespec, 2> now{timespec{1'000'000'000, 0}, timespec{0, UTIME_NOW}};
  const std::time_t before = std::time(nullptr);
  ASSERT_EQ(::utimensat(AT_FDCWD, (mount() / "mounted/f").c_str(), now.data(), 0), 0);
  struct stat found {};
  ASSERT_EQ(::stat((server() / "mounted/f").c_str(), &found), 0);
  EXPECT_EQ(found.st_atim.tv_sec, 1'000'000'000);
  EXPECT_GE(found.st_mtim.tv_sec, before - 1);
}

TEST_F(AttributesThroughTheMount, TimesOfAFileThatIsBeingWrittenStayAsSet) {
  ExpectSameOnBothSides([](const fs::path& dir, Record& record) {
    UniqueFd fd(::open((dir / "f").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    record.Call("write", ::write(fd.get(), "content", 7));
    const std::array<timespec, 2> times{timespec{1'000'000'000, 0}, timespec{1'234'567'890, 0}};
    record.Call("set", ::futimens(fd.get(), times.data()));
    record.Call("close", ::close(fd.Release()));
    RecordStat("after", dir / "f", record);
  });
}

TEST_F(AttributesThroughTheMount, AccessLooksAtTheBits) {
  ExpectSameOnBothSides([](const fs::path& dir, Record& record) {
    WriteFile(dir / "f", "x");
    ::chmod((dir / "f").c_str(), 0644);
    record.Call("there", ::access((dir / "f").c_str(), F_OK));
    record.Call("read and write", ::access((dir / "f").c_str(), R_OK | W_OK));
    record.Call("run", ::access((dir / "f").c_str(), X_OK));
    ::chmod((dir / "f").c_str(), 0755);
    record.Call("run", ::access((dir / "f").c_str(), X_OK));
    record.Call("not there", ::access((dir / "nothing").c_str(), F_OK));
  });
}

TEST_F(AttributesThroughTheMount, RoomOnTheServerIsTheServers) {
  struct statvfs there {};
  struct statvfs here {};
  ASSERT_EQ(::statvfs(server().c_str(), &there), 0);
  ASSERT_EQ(::statvfs(mount().c_str(), &here), 0);
  EXPECT_EQ(here.f_blocks * here.f_frsize, there.f_blocks * there.f_frsize);
  EXPECT_EQ(here.f_files, there.f_files);
  EXPECT_EQ(here.f_namemax, there.f_namemax);
  EXPECT_GT(here.f_bavail, 0U);
}

TEST_F(AttributesThroughTheMount, BlocksAreThereForDuAndRsync) {
  WriteFile(mount() / "f", Noise(100'000));
  struct stat found {};
  ASSERT_EQ(::stat((mount() / "f").c_str(), &found), 0);
  EXPECT_EQ(found.st_size, 100'000);
  EXPECT_GE(found.st_blocks * 512, 100'000);
}

TEST_F(AttributesThroughTheMount, WhatSftpCannotDoIsRefusedAndNeverPretended) {
  WriteFile(mount() / "f", "x");
  EXPECT_EQ(::setxattr((mount() / "f").c_str(), "user.note", "x", 1, 0), -1);
  EXPECT_EQ(errno, ENOTSUP);
  std::array<char, 10> value{};
  EXPECT_EQ(::getxattr((mount() / "f").c_str(), "user.note", value.data(), value.size()), -1);
  EXPECT_EQ(errno, ENOTSUP);
  EXPECT_EQ(::mkfifo((mount() / "fifo").c_str(), 0600), -1);
  EXPECT_FALSE(fs::exists(fs::symlink_status(server() / "fifo")));
  EXPECT_EQ(::mknod((mount() / "device").c_str(), S_IFCHR | 0600, 0x103), -1);
  EXPECT_FALSE(fs::exists(fs::symlink_status(server() / "device")));
  const UniqueFd fd(::open((mount() / "f").c_str(), O_RDWR | O_CLOEXEC));
  EXPECT_EQ(::fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1), -1);
  EXPECT_EQ(errno, EOPNOTSUPP);
  EXPECT_EQ(ReadFile(server() / "f"), "x");
}

TEST_F(AttributesThroughTheMount, RegularFilesCanBeMadeWithMknod) {
  ExpectSameOnBothSides([](const fs::path& dir, Record& record) {
    record.Call("make", ::mknod((dir / "f").c_str(), S_IFREG | 0640, 0));
    record.Call("make again", ::mknod((dir / "f").c_str(), S_IFREG | 0640, 0));
  });
}

}  // namespace
}  // namespace bt::e2e
