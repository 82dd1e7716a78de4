// How long things wait: for a slow link, for one that is gone, for a directory that is half read, and for the end.
#include <gtest/gtest.h>

#include <csignal>

#include <chrono>
#include <fstream>
#include <iostream>

#include <fmt/format.h>

#include "tests/fault/fault_test.h"

namespace bt::fault {
namespace {

using Clock = std::chrono::steady_clock;

class Waits : public FaultTest {
 protected:
  bool Exists(const char* name) const { return std::filesystem::exists(local() / name); }
  void Go() const { std::ofstream(local() / "go") << "now"; }
};

TEST_F(Waits, SlowButLivingTransferOutlivesTheTimeout) {
  Mount({"--timeout", "2s"});
  ASSERT_EQ(Shell("head -c 256K /dev/urandom > $S/slow").exit_code, 0);
  service().link().SetRate(40'000,
                           40'000);  // 128 KiB, which the kernel asks for at a time, take more than three seconds
  const auto began = Clock::now();
  const Finished down = Shell("cat $M/slow | cmp - $S/slow");
  EXPECT_EQ(down.exit_code, 0) << down.all() << Log();
  EXPECT_GE(Clock::now() - began, seconds(4));  // else it was no test
}

TEST_F(Waits, TimeoutZeroWaitsForEverAndCanBeInterrupted) {
  Mount({"--timeout", "0"});
  ASSERT_EQ(Shell("mkdir $S/p $S/q; echo x > $S/p/a; echo y > $S/q/b; ls $M/p $M/q").exit_code, 0);
  service().link().Stall();
  const auto waiting = StartShell("exec cat $M/p/a");
  const auto interrupted = StartShell("exec cat $M/q/b");
  ASSERT_TRUE(WaitForLink("backing off or dialing"));
  EXPECT_GE(Status().requests_under_way, 2U);
  interrupted->Signal(SIGINT);
  EXPECT_GT(interrupted->Wait(seconds(10)).exit_code, 0);
  EXPECT_NE(Log().find("link: suspect -> backing off"), std::string::npos) << Log();
  EXPECT_NE(Log().find("requests waiting"), std::string::npos) << Log();
  service().link().EndStall();
  const Finished read = waiting->Wait(seconds(60));
  EXPECT_EQ(read.out, "x\n") << read.all() << Log();
  EXPECT_NE(Log().find("link: dialing -> up"), std::string::npos) << Log();
}

TEST_F(Waits, DirectoryThatIsHalfReadWhenTheLinkIsCutIsReadToItsEnd) {
  Mount();
  ASSERT_EQ(Shell("mkdir $S/many; touch $S/many/{1..4000}").exit_code, 0);
  const auto reader = StartShell(R"(exec python3 -c "
import os, time
entries = os.scandir('$M/many')
names = [next(entries).name for i in range(10)]
open('$D/opened', 'w')
while not os.path.exists('$D/go'):
    time.sleep(0.01)
names += [entry.name for entry in entries]
assert len(names) == 4000 and set(names) == {str(i) for i in range(1, 4001)}, len(names)
assert len(os.listdir('$M/many')) == 4000
")");
  ASSERT_TRUE(WaitUntil([&] { return Exists("opened"); }));
  service().link().CutAll();
  Go();
  const Finished read = reader->Wait(seconds(60));
  EXPECT_EQ(read.exit_code, 0) << read.all() << Log();
}

TEST_F(Waits, ListingThatIsCutAgainAndAgainIsWholeInTheEnd) {
  Mount();
  ASSERT_EQ(Shell("mkdir $S/many; touch $S/many/{1..4000}").exit_code, 0);
  CutEvery(milliseconds(200), milliseconds(600));
  const Finished listed =
      Shell("for i in 1 2 3 4 5; do test $(ls -U $M/many | sort -u | wc -l) = 4000 || exit 1; done");
  EXPECT_EQ(listed.exit_code, 0) << listed.all() << Log();
}

TEST_F(Waits, UnmountingWhileTheLinkIsCutAgainAndAgainLosesNothing) {
  Mount();
  service().link().SetRate(20'000'000, 20'000'000);
  CutEvery(milliseconds(300), milliseconds(900));
  const auto writer = StartShell("exec 3> $M/big; seq 3000000 | head -c 20M >&3; kill -9 $$");
  writer->Wait(seconds(60));
  const Finished unmounted = BtMount({"unmount", mount().string()});
  EXPECT_EQ(unmounted.exit_code, 0) << unmounted.all() << Log();
  EXPECT_EQ(Shell("seq 3000000 > $D/all; head -c 20M $D/all | cmp - $S/big").exit_code, 0);
  EXPECT_TRUE(WaitUntil([&] { return Daemon() == -1 || e2e::WaitForChild(Daemon(), seconds(10)) == 0; }));
}

}  // namespace
}  // namespace bt::fault
