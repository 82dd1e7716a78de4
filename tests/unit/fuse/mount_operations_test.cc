// Every operation through the kernel, on a tree in memory, with real programs and real system calls.
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <set>
#include <string>

#include "tests/support/fake_mount/mounted_fake.h"
#include "transport/base/unique_fd.h"

namespace bt {
namespace {

class MountOperations : public testing::Test {
 protected:
  void Start() {
    const Status started = fake_.Start();
    ASSERT_TRUE(started.ok()) << Describe(started.error());
  }
  void TearDown() override {
    if (HasFatalFailure()) {
      return;
    }
    EXPECT_EQ(fake_.mount().counts().forgotten, 0U);
  }

  // Standard output of a shell command run in the mounted root; "[n]" is added when it fails.
  std::string Shell(const std::string& command) {
    const std::string line = "cd '" + fake_.root().string() + "' && { " + command + "; } 2>&1";
    FILE* const pipe = ::popen(line.c_str(), "r");  // NOLINT(cert-env33-c): the test's own words
    std::string out;
    std::array<char, 4096> chunk{};
    std::size_t got = 0;
    while ((got = std::fread(chunk.data(), 1, chunk.size(), pipe)) > 0) {
      out.append(chunk.data(), got);
    }
    const int status = ::pclose(pipe);
    return status == 0 ? out : out + "[" + std::to_string(WEXITSTATUS(status)) + "]";
  }

  MountedFake fake_;
};

TEST_F(MountOperations, FilesAndDirectoriesAreListedAndRead) {
  fake_.remote.WriteFile("/a", "alpha\n");
  fake_.remote.WriteFile("/d/b", "beta\n");
  Start();
  EXPECT_EQ(Shell("ls"), "a\nd\n");
  EXPECT_EQ(Shell("cat a d/b"), "alpha\nbeta\n");
  EXPECT_EQ(Shell("ls -a d"), ".\n..\nb\n");
  EXPECT_EQ(Shell("stat -c '%F %s %a' a"), "regular file 6 644\n");
  EXPECT_EQ(Shell("cat none"), "cat: none: No such file or directory\n[1]");
  EXPECT_EQ(Shell("test -e none; echo $?"), "1\n");
}

TEST_F(MountOperations, WhatIsWrittenIsOnTheServer) {
  Start();
  EXPECT_EQ(Shell("echo one > f && echo two >> f && cat f"), "one\ntwo\n");
  EXPECT_EQ(fake_.remote.ReadFile("/f"), "one\ntwo\n");
  EXPECT_EQ(Shell("echo three > f"), "");
  EXPECT_EQ(fake_.remote.ReadFile("/f"), "three\n");
  EXPECT_EQ(Shell("truncate -s 2 f && cat f"), "th");
  EXPECT_EQ(Shell("truncate -s 10 f && stat -c %s f"), "10\n");
  EXPECT_EQ(fake_.remote.ReadFile("/f"), std::string("th\0\0\0\0\0\0\0\0", 10));
}

TEST_F(MountOperations, TheTreeIsChangedOnTheServer) {
  Start();
  EXPECT_EQ(Shell("mkdir -p a/b && touch a/b/f && mv a/b/f a/g && ls a a/b"), "a:\nb\ng\n\na/b:\n");
  EXPECT_TRUE(fake_.remote.Exists("/a/g"));
  EXPECT_EQ(Shell("rmdir a"), "rmdir: failed to remove 'a': Directory not empty\n[1]");
  EXPECT_EQ(Shell("ln -s a/g link && readlink link && ln a/g hard && rm a/g && cat hard"), "a/g\n");
  EXPECT_EQ(Shell("rm -r a link && ls"), "hard\n");
  EXPECT_EQ(Shell("mkfifo pipe 2>/dev/null || echo refused"), "refused\n");
}

TEST_F(MountOperations, AttributesAreSet) {
  fake_.remote.WriteFile("/f", "x");
  Start();
  EXPECT_EQ(Shell("chmod 751 f && stat -c %a f"), "751\n");
  EXPECT_EQ(fake_.remote.AttributesOf("/f").mode & 07777U, 0751U);
  EXPECT_EQ(Shell("touch -d @1234567890 f && stat -c '%X %Y' f"), "1234567890 1234567890\n");
  EXPECT_EQ(fake_.remote.AttributesOf("/f").mtime, 1234567890);
  EXPECT_EQ(Shell("touch -a -d @1000000000 f && stat -c '%X %Y' f"), "1000000000 1234567890\n");
  const std::int64_t before = ::time(nullptr);
  EXPECT_EQ(Shell("touch f"), "");
  EXPECT_GE(fake_.remote.AttributesOf("/f").mtime, before);
}

TEST_F(MountOperations, LargeFilesSurviveTheRoundTrip) {
  Start();
  EXPECT_EQ(Shell("head -c 9000001 /dev/urandom > f && sha256sum < f > sum && sha256sum < f | cmp - sum && "
                  "dd if=f of=g bs=1M 2>/dev/null && cmp f g && stat -c %s g"),
            "9000001\n");
  EXPECT_EQ(fake_.remote.ReadFile("/f"), fake_.remote.ReadFile("/g"));
}

TEST_F(MountOperations, SparseFilesBeyondFourGigabytesKeepTheirOffsets) {
  Start();
  EXPECT_EQ(
      Shell(
          "printf end | dd of=f bs=1 seek=5368709120 conv=notrunc 2>/dev/null; stat -c %s f; tail -c 4 f | od -An -c"),
      "5368709123\n  \\0   e   n   d\n");
}

TEST_F(MountOperations, TenThousandEntriesAreListedOnce) {
  for (int i = 0; i < 10'000; ++i) {
    fake_.remote.WriteFile("/many/file-with-a-name-" + std::to_string(i), "");
  }
  Start();
  EXPECT_EQ(Shell("ls many | sort -u | wc -l"), "10000\n");
  EXPECT_EQ(Shell("ls -l many | grep -c '^-rw-r--r--'"), "10000\n");
  EXPECT_EQ(Shell("find many -type f | wc -l"), "10000\n");
}

TEST_F(MountOperations, NamesMayBeLongAndOfAnyBytes) {
  const std::string longest(255, 'n');
  const std::string odd = "a\nb\t\x01\xff\\ '\"*";
  Start();
  for (const std::string& name : {longest, odd}) {
    std::ofstream(fake_.At(name)) << "x";
    EXPECT_EQ(fake_.remote.ReadFile("/" + name), "x");
  }
  EXPECT_NE(::access(fake_.At(longest + "n").c_str(), F_OK), 0);
  EXPECT_EQ(errno, ENAMETOOLONG);
  std::set<std::string> listed;
  for (const auto& entry : std::filesystem::directory_iterator(fake_.root())) {
    listed.insert(entry.path().filename().string());
  }
  EXPECT_EQ(listed, (std::set<std::string>{longest, odd}));
}

TEST_F(MountOperations, ExclusiveCreationAndRenameFlagsAreExact) {
  fake_.remote.WriteFile("/a", "a");
  fake_.remote.WriteFile("/b", "b");
  Start();
  EXPECT_LT(::open(fake_.At("a").c_str(), O_CREAT | O_EXCL | O_WRONLY, 0644), 0);
  EXPECT_EQ(errno, EEXIST);
  const auto rename = [this](const char* from, const char* to, unsigned flags) {
    return ::renameat2(AT_FDCWD, fake_.At(from).c_str(), AT_FDCWD, fake_.At(to).c_str(), flags) == 0 ? 0 : errno;
  };
  EXPECT_EQ(rename("a", "b", RENAME_NOREPLACE), EEXIST);
  EXPECT_EQ(rename("a", "b", RENAME_EXCHANGE), EINVAL);
  EXPECT_EQ(rename("a", "c", RENAME_NOREPLACE), 0);
  EXPECT_EQ(rename("c", "b", 0), 0);
  EXPECT_EQ(fake_.remote.ReadFile("/b"), "a");
}

TEST_F(MountOperations, WhatSftpCannotDoSaysSo) {
  fake_.remote.WriteFile("/f", "x");
  Start();
  const UniqueFd file(::open(fake_.At("f").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(file);
  EXPECT_NE(::fallocate(file.get(), 0, 0, 4096), 0);
  EXPECT_EQ(errno, EOPNOTSUPP);
  EXPECT_NE(::fsetxattr(file.get(), "user.a", "b", 1, 0), 0);
  EXPECT_EQ(errno, EOPNOTSUPP);
  std::array<char, 16> value{};
  EXPECT_LT(::fgetxattr(file.get(), "user.a", value.data(), value.size()), 0);
  EXPECT_EQ(errno, EOPNOTSUPP);
  EXPECT_EQ(::lseek(file.get(), 0, SEEK_HOLE), 1);
  struct flock lock {};
  lock.l_type = F_WRLCK;
  EXPECT_EQ(::fcntl(file.get(), F_SETLK, &lock), 0);  // local to the mount
}

TEST_F(MountOperations, CopyFileRangeIsDoneByTheServerOrElseByTheKernel) {
  fake_.remote.WriteFile("/from", std::string(300'000, 'c'));
  Start();
  const auto copy = [this](const std::string& to) {
    const UniqueFd source(::open(fake_.At("from").c_str(), O_RDONLY | O_CLOEXEC));
    const UniqueFd target(::open(fake_.At(to).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    ssize_t total = 0;
    ssize_t got = 0;
    while ((got = ::copy_file_range(source.get(), nullptr, target.get(), nullptr, 1U << 20U, 0)) > 0) {
      total += got;
    }
    EXPECT_EQ(got, 0) << std::strerror(errno);
    return total;
  };
  EXPECT_EQ(copy("served"), 300'000);
  EXPECT_GE(fake_.remote.script().count(FakeOp::kCopyRange), 1U);
  EXPECT_EQ(fake_.remote.ReadFile("/served"), fake_.remote.ReadFile("/from"));

  RemoteCapabilities without = fake_.remote.capabilities();
  without.copy_data = false;
  fake_.remote.SetCapabilities(without);
  EXPECT_EQ(copy("by-hand"), 300'000);
  EXPECT_EQ(fake_.remote.ReadFile("/by-hand"), fake_.remote.ReadFile("/from"));
}

TEST_F(MountOperations, SpaceIsTheServers) {
  FsStats stats;
  stats.block_size = stats.fragment_size = 4096;
  stats.blocks = 1000;
  stats.blocks_free = 600;
  stats.blocks_available = 500;
  fake_.remote.SetStats(stats);
  Start();
  struct statvfs got {};
  ASSERT_EQ(::statvfs(fake_.root().c_str(), &got), 0);
  EXPECT_EQ(got.f_blocks, 1000U);
  EXPECT_EQ(got.f_bavail, 500U);
  EXPECT_EQ(got.f_namemax, 255U);
  EXPECT_TRUE((got.f_flag & ST_NOSUID) != 0 && (got.f_flag & ST_NODEV) != 0);
}

TEST_F(MountOperations, OpenFilesOutliveTheirNames) {
  fake_.remote.WriteFile("/f", "content");
  fake_.remote.WriteFile("/g", "content");
  Start();
  EXPECT_EQ(Shell("exec 3<f 4<g; rm f; mv g h; cat <&3; cat <&4; ls"), "contentcontenth\n");
}

TEST_F(MountOperations, ReplacedSymlinkIsSeenAtOnceWithoutTimeToLive) {
  fake_.remote.MakeLink("/latest", "step-1");
  fake_.filesystem_options.attribute_ttl = std::chrono::milliseconds(0);
  Start();
  EXPECT_EQ(Shell("readlink latest"), "step-1\n");
  fake_.remote.Remove("/latest");
  fake_.remote.MakeLink("/latest", "step-2");
  EXPECT_EQ(Shell("readlink latest"), "step-2\n");
}

TEST_F(MountOperations, DirectReadsAndWritesWork) {
  fake_.remote.WriteFile("/f", std::string(100'000, 'd'));
  Start();
  EXPECT_EQ(Shell("dd if=f iflag=direct bs=64k 2>/dev/null | wc -c"), "100000\n");
  EXPECT_EQ(Shell("head -c 65536 /dev/zero | dd of=g oflag=direct bs=64k iflag=fullblock 2>/dev/null; stat -c %s g"),
            "65536\n");
}

TEST_F(MountOperations, MappedFilesAreReadAndWritten) {
  fake_.remote.WriteFile("/f", std::string(10'000, 'm'));
  Start();
  EXPECT_EQ(Shell("python3 -c 'import mmap\nwith open(\"f\",\"r+b\") as f:\n m=mmap.mmap(f.fileno(),0)\n "
                  "print(m[9999:])\n m[0:5]=b\"MMMMM\"\n m.flush()'"),
            "b'm'\n");
  EXPECT_EQ(fake_.remote.ReadFile("/f").substr(0, 6), "MMMMMm");
}

TEST_F(MountOperations, ReadOnlyMountRefusesWrites) {
  fake_.remote.WriteFile("/f", "x");
  fake_.mount_options.read_only = true;
  fake_.filesystem_options.read_only = true;
  Start();
  EXPECT_EQ(Shell("cat f; touch g"), "xtouch: cannot touch 'g': Read-only file system\n[1]");
}

TEST_F(MountOperations, FailedRequestIsAnErrorAndNotAnEnd) {
  fake_.remote.WriteFile("/f", std::string(10'000, 'x'));
  Start();
  fake_.remote.script().OnEveryCall(FakeOp::kRead, Fault::NotDone());
  EXPECT_EQ(Shell("cat f"), "cat: f: Input/output error\n[1]");
  fake_.remote.script().Clear();
  EXPECT_EQ(Shell("cat f | wc -c"), "10000\n");
}

}  // namespace
}  // namespace bt
