// The link swallows everything and tells nobody.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <csignal>

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
      EXPECT_LT(TimeToEnd(*program, signal), seconds(1));
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
  ASSERT_TRUE(WaitForLink("backing off or dialing or suspect"));
  std::this_thread::sleep_for(seconds(2));  // beyond the ping's second of grace

  const auto within = [](const char* what, milliseconds limit, const std::function<void()>& work) {
    const auto began = Clock::now();
    work();
    const auto took = std::chrono::duration_cast<milliseconds>(Clock::now() - began);
    std::cout << what << ": " << took.count() << " ms\n";
    EXPECT_LT(took, limit) << what;
  };
  within("statvfs", milliseconds(500), [&] { EXPECT_EQ(::statvfs(mount().c_str(), &space), 0); });
  within("stat of the root", milliseconds(500), [&] {
    struct stat root {};
    EXPECT_EQ(::stat(mount().c_str(), &root), 0);
  });
  within("read of a cached file", milliseconds(500),
         [&] { EXPECT_EQ(::pread(cached.get(), buffer.data(), buffer.size(), 0), 7); });
  within("bt-mount status", milliseconds(500), [&] { EXPECT_GE(Status().requests_under_way, 500U); });
  within("500 kills", seconds(3), [&] { TimeToEnd(*waiters, SIGKILL); });
  EXPECT_TRUE(WaitUntil([&] { return Status().requests_under_way == 0; }, seconds(5)));
  service().link().EndStall();
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
