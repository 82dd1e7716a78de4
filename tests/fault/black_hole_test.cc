// The link swallows everything and tells nobody.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <csignal>

#include <algorithm>
#include <array>
#include <fstream>
#include <iostream>
#include <thread>

#include <fmt/format.h>

#include "tests/fault/fault_test.h"
#include "transport/base/unique_fd.h"

namespace bt::fault {
namespace {

using Clock = std::chrono::steady_clock;

struct Victim {
  const char* name;
  const char* command;
};
const std::vector<Victim> kVictims{
    {"read", "exec cat $M/big"},
    {"write", "exec dd if=/dev/zero of=$M/out bs=1M count=200 conv=fsync"},
    {"readdir", "exec ls $M/many"},
    {"rename", "exec mv $M/from $M/to"},
};

class BlackHole : public FaultTest {
 protected:
  void Prepare() {
    ASSERT_EQ(Shell("head -c 3M /dev/urandom > $S/big; mkdir $S/many; touch $S/many/{1..50} $S/from").exit_code, 0);
  }
  void Stall() { service().link().Stall(); }
  milliseconds TimeToKillFiveHundred(const std::string& command) {
    const auto all = StartShell(fmt::format("for i in $(seq 500); do {} & done; touch $D/started; wait", command));
    EXPECT_TRUE(WaitUntil([&] { return std::filesystem::exists(local() / "started"); }));
    return TimeToEnd(*all, SIGKILL);
  }
  std::unique_ptr<Program> StartAndWaitUntilItHangs(const char* command) {
    auto program = StartShell(command);
    EXPECT_TRUE(WaitUntil([&] { return Status().requests_under_way > 0; }));
    return program;
  }
};

TEST_F(BlackHole, SignalsEndProgramsWithinASecond) {
  Mount();
  Prepare();
  Stall();
  for (const Victim& victim : kVictims) {
    for (const int signal : {SIGINT, SIGKILL}) {
      SCOPED_TRACE(fmt::format("{}, signal {}", victim.name, signal));
      const auto program = StartAndWaitUntilItHangs(victim.command);
      const auto sleeper = StartShell("exec sleep 1000");
      const milliseconds noise = TimeToEnd(*sleeper, signal);  // what the machine takes anyway
      EXPECT_LT(TimeToEnd(*program, signal), seconds(1) + 4 * noise);
    }
  }
  service().link().EndStall();
  const Finished after = Shell("cmp $M/big $S/big && ls $M/many | wc -l && touch $M/new && test -e $S/new");
  EXPECT_EQ(after.exit_code, 0) << after.all() << Log();
}

TEST_F(BlackHole, WithoutASignalTheTimeoutEndsThem) {
  Mount({"--timeout", "3s"});
  Prepare();
  Stall();
  for (const Victim& victim : kVictims) {
    SCOPED_TRACE(victim.name);
    const auto began = Clock::now();
    const Finished ended = StartShell(victim.command)->Wait(seconds(30));
    const auto took = std::chrono::duration_cast<milliseconds>(Clock::now() - began);
    EXPECT_GT(ended.exit_code, 0);
    EXPECT_LT(ended.exit_code, 128);
    EXPECT_NE(ended.all().find("timed out"), std::string::npos) << ended.all();
    EXPECT_GE(took, milliseconds(2500));
    std::cout << victim.name << " gave up after " << took.count() << " ms\n";
  }
  service().link().EndStall();
  const Finished after = Shell("cmp $M/big $S/big");
  EXPECT_EQ(after.exit_code, 0) << after.all() << Log();
}

TEST_F(BlackHole, FiveHundredWaitersDisturbNobodyAndDieAtOnce) {
  Mount({"--timeout", "120s"});
  Prepare();
  ASSERT_EQ(
      Shell("mkdir $S/wait; touch $S/wait/{1..500}; echo cached > $S/cached; ls -l $M $M/wait > /dev/null").exit_code,
      0);
  const UniqueFd cached(::open((mount() / "cached").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(cached);
  std::array<char, 64> buffer{};
  ASSERT_EQ(::pread(cached.get(), buffer.data(), buffer.size(), 0), 7);
  struct statvfs space {};
  ASSERT_EQ(::statvfs(mount().c_str(), &space), 0);
  Stall();
  // Before anybody has noticed.
  EXPECT_EQ(::statvfs(mount().c_str(), &space), 0);
  const auto waiters = StartShell("for i in $(seq 500); do cat $M/wait/$i & done; wait");
  ASSERT_TRUE(WaitUntil([&] { return Status().requests_under_way >= 500; }));
  // What memory answers must not wait with them. The machine may be busy, so the best of some tries counts; nothing
  // that waits for the link comes back before it does, in two minutes.
  const auto at_once = [](const char* what, milliseconds limit, const std::function<void()>& work) {
    milliseconds best = milliseconds::max();
    for (int tries = 0; tries < 10 && best >= limit; ++tries) {
      const auto began = Clock::now();
      work();
      best = std::min(best, std::chrono::duration_cast<milliseconds>(Clock::now() - began));
    }
    std::cout << what << ": " << best.count() << " ms\n";
    EXPECT_LT(best, limit) << what;
  };
  at_once("read of a cached file", milliseconds(500),
          [&] { EXPECT_EQ(::pread(cached.get(), buffer.data(), buffer.size(), 0), 7); });
  at_once("stat of a cached file", milliseconds(500), [&] {
    struct stat found {};
    EXPECT_EQ(::stat((mount() / "cached").c_str(), &found), 0);
  });
  at_once("statvfs", milliseconds(200), [&] { EXPECT_EQ(::statvfs(mount().c_str(), &space), 0); });
  at_once("stat of the root", milliseconds(200), [&] {
    struct stat root {};
    EXPECT_EQ(::stat(mount().c_str(), &root), 0);
  });
  at_once("bt-mount status", milliseconds(200), [&] { EXPECT_GE(Status().requests_under_way, 500U); });

  const milliseconds idle = TimeToKillFiveHundred("sleep 1000");
  const auto began = Clock::now();
  TimeToEnd(*waiters, SIGKILL);
  const auto took = std::chrono::duration_cast<milliseconds>(Clock::now() - began);
  std::cout << fmt::format("500 kills: {} ms, of 500 that sleep {} ms\n", took.count(), idle.count());
  EXPECT_LT(took, seconds(1) + 4 * idle);
  EXPECT_TRUE(WaitUntil([&] { return Status().requests_under_way == 0; }, seconds(30)));
  service().link().EndStall();
}

// The kernel would let the second wait for the first where no signal reaches it, if it took us for a file system that
// can look up one name at a time only.
TEST_F(BlackHole, SecondLookupInADirectoryDiesWhileTheFirstWaits) {
  ASSERT_EQ(Shell("mkdir $S/d; touch $S/d/{1..9}").exit_code, 0);
  Mount({"--timeout", "120s"});
  ASSERT_EQ(Shell("stat $M/d").exit_code, 0);
  Stall();
  const auto first = StartAndWaitUntilItHangs("exec stat $M/d/1");
  const auto second = StartShell("exec stat $M/d/2");
  const auto listing = StartShell("exec ls $M/d");
  ASSERT_TRUE(WaitUntil([&] { return Status().requests_under_way >= 3; }));
  const auto sleeper = StartShell("exec sleep 1000");
  const milliseconds noise = TimeToEnd(*sleeper, SIGKILL);
  EXPECT_LT(TimeToEnd(*second, SIGKILL), seconds(1) + 4 * noise);
  EXPECT_LT(TimeToEnd(*listing, SIGKILL), seconds(1) + 4 * noise);
  EXPECT_EQ(Status().requests_under_way, 1U);
  EXPECT_LT(TimeToEnd(*first, SIGKILL), seconds(1) + 4 * noise);
  service().link().EndStall();
}

TEST_F(BlackHole, TheSystemsOwnUnmountEndsADaemonWithoutItsLink) {
  Mount();
  Prepare();
  const pid_t daemon = Daemon();
  Stall();
  const auto reader = StartAndWaitUntilItHangs("exec cat $M/big");
  TimeToEnd(*reader, SIGKILL);
  const auto began = Clock::now();
  const Finished unmounted = Shell("fusermount3 -u $M");
  EXPECT_EQ(unmounted.exit_code, 0) << unmounted.all();
  EXPECT_NE(e2e::WaitForChild(daemon, seconds(20)), -1) << Log();
  EXPECT_LT(Clock::now() - began, seconds(20));
  EXPECT_FALSE(IsMounted(mount()));
  service().link().EndStall();
  Mount();
  EXPECT_EQ(Shell("cmp $M/big $S/big").exit_code, 0);
}

TEST_F(BlackHole, TheSystemsLazyUnmountNamesWhatIsLost) {
  Mount({"--timeout", "5s"});
  const pid_t daemon = Daemon();
  const auto writer = StartShell(
      "exec 3> $M/lost.bin; > $D/opened; until [ -e $D/go ]; do sleep 0.02; done; head -c 1M /dev/zero >&3; sleep 600");
  ASSERT_TRUE(WaitUntil([&] { return std::filesystem::exists(local() / "opened"); }));
  Stall();
  std::ofstream(local() / "go") << "now";
  ASSERT_TRUE(WaitUntil([&] { return Status().unwritten_bytes == 1048576; }));
  EXPECT_NE(Shell("fusermount3 -u $M").exit_code, 0);  // somebody is at work there
  EXPECT_EQ(Shell("fusermount3 -uz $M").exit_code, 0);
  EXPECT_FALSE(IsMounted(mount()));
  writer->Signal(SIGKILL);
  writer->Wait(seconds(30));
  EXPECT_NE(e2e::WaitForChild(daemon, seconds(60)), -1) << Log();
  EXPECT_NE(Log().find("lost.bin"), std::string::npos) << Log();
}

TEST_F(BlackHole, UnmountByForceNamesWhatIsLost) {
  Mount();
  Prepare();
  const auto writer = StartShell(
      "exec 3> $M/lost.bin; > $D/opened; until [ -e $D/go ]; do :; done; head -c 1M /dev/zero >&3; sleep 60");
  ASSERT_TRUE(WaitUntil([&] { return std::filesystem::exists(local() / "opened"); }));
  Stall();
  std::ofstream(local() / "go") << "now";
  ASSERT_TRUE(WaitUntil([&] { return Status().unwritten_bytes == 1048576; }));
  const auto began = Clock::now();
  const pid_t daemon = Daemon();
  const Finished unmounted = BtMount({"unmount", "--force", mount().string()});
  EXPECT_LT(Clock::now() - began, seconds(10));
  EXPECT_NE(unmounted.exit_code, 0);
  EXPECT_NE(unmounted.all().find("lost.bin"), std::string::npos) << unmounted.all();
  EXPECT_NE(unmounted.all().find("1.0 MiB"), std::string::npos) << unmounted.all();
  EXPECT_NE(e2e::WaitForChild(daemon, seconds(20)), -1);
  EXPECT_NE(Log().find("lost.bin"), std::string::npos) << Log();
  EXPECT_FALSE(IsMounted(mount()));
  writer->Signal(SIGKILL);
  writer->Wait(seconds(5));
}

}  // namespace
}  // namespace bt::fault
