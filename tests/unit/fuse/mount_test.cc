// The life of a mount: ready, interrupted, saturated, stopped, unmounted from outside, left behind dead.
#include "fs/fuse/mount.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "fs/fuse/mount_point.h"
#include "fs/fuse/mount_table.h"
#include "tests/support/fake_mount/mounted_fake.h"
#include "transport/base/unique_fd.h"

namespace bt {
namespace {

using std::chrono::milliseconds;

// Runs `program` with `arguments`; its output goes nowhere. The caller waits for it.
pid_t Spawn(std::vector<std::string> words, int out = -1) {
  std::vector<char*> argv;
  for (std::string& word : words) {
    argv.push_back(word.data());
  }
  argv.push_back(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    const int null = ::open("/dev/null", O_RDWR);
    ::dup2(out >= 0 ? out : null, STDOUT_FILENO);
    ::dup2(null, STDERR_FILENO);
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }
  return child;
}

// The signal that ended the child, or minus its exit code. A child that cannot be ended hangs the test, which is then
// ended by its time limit.
int EndOf(pid_t child) {
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

class MountLife : public testing::Test {
 protected:
  void Start() {
    const Status started = fake_.Start();
    ASSERT_TRUE(started.ok()) << Describe(started.error());
  }

  void LeaveDeadMount(bool asked_before) {
    std::array<int, 2> pipe_ends{};
    ASSERT_EQ(::pipe2(pipe_ends.data(), O_CLOEXEC), 0);
    const UniqueFd reading(pipe_ends[0]);
    UniqueFd writing(pipe_ends[1]);
    const pid_t other = Spawn({FAKE_MOUNT, fake_.root().string()}, writing.get());
    writing.Reset();
    char byte = 0;
    ASSERT_EQ(::read(reading.get(), &byte, 1), 1);  // it says when it is ready
    struct stat found {};
    if (asked_before) {
      ASSERT_EQ(::stat(fake_.root().c_str(), &found), 0);
    }
    ::kill(other, SIGKILL);
    ASSERT_EQ(EndOf(other), SIGKILL);
    ASSERT_TRUE(fuse::IsMountPoint(fake_.root()));
  }

  MountedFake fake_;
};

TEST_F(MountLife, StopEndsRunAndUnmounts) {
  Start();
  EXPECT_TRUE(fuse::IsMountPoint(fake_.root()));
  const auto entry = fuse::FindMountAt(fake_.root());
  ASSERT_TRUE(entry.ok());
  EXPECT_EQ(entry->fs_type, fuse::kFsType);
  EXPECT_EQ(entry->source, "fake:/");
  fake_.mount().Stop();
  EXPECT_TRUE(fake_.Wait().ok());
  EXPECT_FALSE(fuse::IsMountPoint(fake_.root()));
}

TEST_F(MountLife, UnmountFromOutsideEndsRun) {
  Start();
  EXPECT_EQ(EndOf(Spawn({"fusermount3", "-u", fake_.root().string()})), 0);
  EXPECT_TRUE(fake_.Wait().ok());
  EXPECT_FALSE(fuse::IsMountPoint(fake_.root()));
}

TEST_F(MountLife, StopBeforeRunEndsAtOnce) {
  const TemporaryDirectory place;
  FakeRemoteFs remote;
  Filesystem filesystem(remote, {});
  fuse::MountOptions options;
  options.mount_point = place.path();
  auto mount = fuse::Mount::Open(options, filesystem);
  ASSERT_TRUE(mount.ok());
  (*mount)->Stop();
  EXPECT_TRUE((*mount)->Run([] { ADD_FAILURE() << "never ready"; }).ok());
}

TEST_F(MountLife, DroppedWithoutRunUnmounts) {
  const TemporaryDirectory place;
  FakeRemoteFs remote;
  Filesystem filesystem(remote, {});
  fuse::MountOptions options;
  options.mount_point = place.path();
  { ASSERT_TRUE(fuse::Mount::Open(options, filesystem).ok()); }
  EXPECT_FALSE(fuse::IsMountPoint(place.path()));
}

TEST_F(MountLife, SecondMountAtOnePlaceIsRefused) {
  Start();
  const auto second = fuse::Mount::Open(fake_.mount_options, fake_.filesystem());
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().tag, "mount.busy");
}

TEST_F(MountLife, UnknownOptionWordIsNamed) {
  fake_.mount_options.kernel_words = {"frobnicate"};
  const Status started = fake_.Start();
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.error().code, Code::kConfig);
  EXPECT_NE(started.error().text.find("`-o frobnicate'"), std::string::npos) << started.error().text;
}

TEST_F(MountLife, SourceMayHoldCommas) {
  fake_.mount_options.fsname = "job,1:/a\\b";
  Start();
  EXPECT_EQ(fuse::FindMountAt(fake_.root())->source, "job,1:/a\\b");
}

// With and without attributes in the kernel's cache that look alive.
TEST_F(MountLife, DeadMountOfOursIsCleanedAndReplaced) {
  for (const bool asked_before : {false, true}) {
    LeaveDeadMount(asked_before);
    const auto place = fuse::PrepareMountPoint(fake_.root(), false);
    ASSERT_TRUE(place.ok()) << place.error().text;
    EXPECT_FALSE(fuse::IsMountPoint(fake_.root()));
  }
  LeaveDeadMount(true);
  fake_.remote.WriteFile("/mine", "");
  Start();
  EXPECT_EQ(::access(fake_.At("mine").c_str(), F_OK), 0);
}

TEST_F(MountLife, KilledProcessLeavesARequestThatWaits) {
  fake_.remote.WriteFile("/f", std::string(200'000, 'x'));
  fake_.mount_options.timeout = milliseconds(0);
  fake_.filesystem_options.listing_threads = 0;  // a listing would answer for names that are looked for again
  Start();
  auto& script = fake_.remote.script();
  for (const int signal : {SIGINT, SIGKILL}) {
    script.Hold(FakeOp::kRead);
    const pid_t buffered = Spawn({"cat", fake_.At("f")});
    ASSERT_TRUE(script.WaitUntilHeld(FakeOp::kRead, 1));
    ::kill(buffered, signal);
    EXPECT_EQ(EndOf(buffered), signal);
    script.Release(FakeOp::kRead);

    script.Hold(FakeOp::kRead);
    const pid_t direct = Spawn({"dd", "if=" + fake_.At("f"), "iflag=direct", "bs=128k"});
    ASSERT_TRUE(script.WaitUntilHeld(FakeOp::kRead, 1));
    ::kill(direct, signal);
    EXPECT_EQ(EndOf(direct), signal);
    script.Release(FakeOp::kRead);

    script.Hold(FakeOp::kLstat);
    const pid_t lookup = Spawn({"stat", fake_.At("none")});
    ASSERT_TRUE(script.WaitUntilHeld(FakeOp::kLstat, 1));
    ::kill(lookup, signal);
    EXPECT_EQ(EndOf(lookup), signal);
    script.Release(FakeOp::kLstat);
  }
  EXPECT_GT(fake_.mount().counts().interrupted, 0U);
}

TEST_F(MountLife, KilledProcessLeavesTheQueueToo) {
  fake_.remote.WriteFile("/f", std::string(200'000, 'x'));
  fake_.mount_options.timeout = milliseconds(0);
  fake_.mount_options.max_threads = 2;  // one of them for data
  Start();
  auto& script = fake_.remote.script();
  script.Hold(FakeOp::kRead);
  const std::vector<std::string> read = {"dd", "if=" + fake_.At("f"), "iflag=direct", "bs=128k"};
  const pid_t running = Spawn(read);
  ASSERT_TRUE(script.WaitUntilHeld(FakeOp::kRead, 1));
  const pid_t queued = Spawn(read);
  while (fake_.mount().counts().queued == 0) {
    std::this_thread::yield();
  }
  ::kill(queued, SIGKILL);
  EXPECT_EQ(EndOf(queued), SIGKILL);
  script.Release(FakeOp::kRead);
  EXPECT_EQ(EndOf(running), 0);
}

TEST_F(MountLife, RequestThatGetsNoAnswerTimesOut) {
  fake_.mount_options.timeout = milliseconds(50);
  Start();
  fake_.remote.script().Hold(FakeOp::kLstat);
  struct stat found {};
  EXPECT_NE(::stat(fake_.At("f").c_str(), &found), 0);
  EXPECT_EQ(errno, ETIMEDOUT);
  fake_.remote.script().Release(FakeOp::kLstat);
}

TEST_F(MountLife, StatIsAnsweredWhileHundredsOfReadersWait) {
  constexpr int kReaders = 300;
  for (int i = 0; i < kReaders; ++i) {
    fake_.remote.WriteFile("/f" + std::to_string(i), std::string(static_cast<std::size_t>(5000 + i), 'r'));
  }
  fake_.mount_options.timeout = milliseconds(0);
  Start();
  auto& script = fake_.remote.script();
  script.Hold(FakeOp::kRead);
  std::atomic<int> complete{0};
  std::vector<std::jthread> readers;
  for (int i = 0; i < kReaders; ++i) {
    readers.emplace_back([this, i, &complete] {
      const UniqueFd file(::open(fake_.At("f" + std::to_string(i)).c_str(), O_RDONLY | O_CLOEXEC));
      std::vector<char> bytes(10'000);
      complete += ::read(file.get(), bytes.data(), bytes.size()) == 5000 + i ? 1 : 0;
    });
  }
  ASSERT_TRUE(script.WaitUntilHeld(FakeOp::kRead, 96));
  struct stat found {};
  for (int i = 0; i < kReaders; ++i) {
    EXPECT_EQ(::stat(fake_.At("f" + std::to_string(i)).c_str(), &found), 0);
  }
  EXPECT_NE(::stat(fake_.At("never-asked").c_str(), &found), 0);
  EXPECT_EQ(errno, ENOENT);
  EXPECT_EQ(complete.load(), 0);
  script.Release(FakeOp::kRead);
  readers.clear();
  EXPECT_EQ(complete.load(), kReaders);
}

TEST_F(MountLife, StopEndsRequestsThatWait) {
  fake_.remote.WriteFile("/f", std::string(200'000, 'x'));
  fake_.mount_options.timeout = milliseconds(0);
  fake_.mount_options.max_threads = 2;
  Start();
  auto& script = fake_.remote.script();
  script.Hold(FakeOp::kRead);
  std::vector<std::jthread> readers;
  std::atomic<int> failed{0};
  for (int i = 0; i < 3; ++i) {  // one runs, the others are queued
    readers.emplace_back([this, &failed] {
      const UniqueFd file(::open(fake_.At("f").c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC));
      alignas(4096) std::array<char, 4096> bytes{};
      failed += ::read(file.get(), bytes.data(), bytes.size()) < 0 ? 1 : 0;
    });
  }
  ASSERT_TRUE(script.WaitUntilHeld(FakeOp::kRead, 1));
  while (fake_.mount().counts().queued < 2) {
    std::this_thread::yield();
  }
  fake_.mount().Stop();
  EXPECT_TRUE(fake_.Wait().ok());
  readers.clear();
  EXPECT_EQ(failed.load(), 3);
  EXPECT_FALSE(fuse::IsMountPoint(fake_.root()));
}

TEST_F(MountLife, LazyUnmountWhileARequestWaitsLetsItEnd) {
  fake_.remote.WriteFile("/f", std::string(5000, 'x'));
  Start();
  auto& script = fake_.remote.script();
  script.Hold(FakeOp::kRead);
  const pid_t reader = Spawn({"cat", fake_.At("f")});
  ASSERT_TRUE(script.WaitUntilHeld(FakeOp::kRead, 1));
  const Status busy = fuse::Unmount(fake_.root(), fuse::UnmountMode::kIfIdle);
  ASSERT_FALSE(busy.ok());
  EXPECT_NE(busy.error().text.find("busy"), std::string::npos);
  ASSERT_TRUE(fuse::Unmount(fake_.root(), fuse::UnmountMode::kLazy).ok());
  EXPECT_FALSE(fuse::IsMountPoint(fake_.root()));
  script.Release(FakeOp::kRead);
  EXPECT_EQ(EndOf(reader), 0);
  EXPECT_TRUE(fake_.Wait().ok());  // ended by the kernel once nobody holds the mount
}

TEST_F(MountLife, BrokenConnectionEndsRun) {
  Start();
  const auto entry = fuse::FindMountAt(fake_.root());
  ASSERT_TRUE(entry.ok());
  // What `fusermount3 -u` cannot do: end the connection under a mount that stays.
  ASSERT_EQ(::umount2(fake_.root().c_str(), MNT_FORCE), 0);
  EXPECT_TRUE(fake_.Wait().ok());
}

}  // namespace
}  // namespace bt
