// The daemon itself: its death, a second one, its figures over many reconnects, its words.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

#include <iostream>

#include <fmt/format.h>

#include "tests/fault/fault_test.h"

namespace bt::fault {
namespace {

class DaemonTest : public FaultTest {
 protected:
  void CheckLeaks(int reconnects) {
    Mount();
    ASSERT_EQ(Shell("echo x > $S/open; mkdir $S/d; touch $S/d/{1..20}").exit_code, 0);
    const auto held = StartShell("exec 3< $M/open; exec sleep 100000");
    const auto round = [&](int i) {
      service().link().CutAll();
      const Finished done = Shell(fmt::format("ls -l $M/d | wc -l; echo {0} > $M/round; cat $S/round", i));
      ASSERT_EQ(done.out, fmt::format("21\n{}\n", i)) << done.all() << Log();
    };
    for (int i = 0; i < 10; ++i) {
      round(i);
    }
    const Usage before = UsageOfDaemon();
    for (int i = 0; i < reconnects; ++i) {
      round(i);
    }
    const Usage after = UsageOfDaemon();
    std::cout << fmt::format("over {} reconnects: descriptors {} -> {}, threads {} -> {}, resident {} -> {} KiB\n",
                             reconnects, before.descriptors, after.descriptors, before.threads, after.threads,
                             before.resident_kib, after.resident_kib);
    EXPECT_LE(after.descriptors, before.descriptors + 3);
    EXPECT_LE(after.threads, before.threads + 6);  // the pool grows with what happens at the same time
    EXPECT_LE(after.resident_kib, before.resident_kib + 8192);
    EXPECT_GE(Status().reconnects, static_cast<std::uint64_t>(reconnects));
    held->Signal(SIGKILL);
    held->Wait(seconds(5));
  }
};

using SoakDaemonTest = DaemonTest;

TEST_F(DaemonTest, NothingLeaksOverReconnects) { CheckLeaks(30); }
TEST_F(SoakDaemonTest, NothingLeaksOverAThousandReconnects) { CheckLeaks(1000); }

TEST_F(DaemonTest, FsyncedFilesAreWholeAfterItsDeath) {
  Mount();
  const auto writer = StartShell(
      "for i in $(seq 1000); do head -c 300k /dev/urandom > $D/f$i; "
      "dd if=$D/f$i of=$M/f$i bs=64k conv=fsync 2> /dev/null && echo $i >> $D/synced; done");
  ASSERT_TRUE(WaitUntil([&] { return !Shell("cat $D/synced 2> /dev/null | sed -n 20p").out.empty(); }));
  const pid_t daemon = Daemon();
  ::kill(daemon, SIGKILL);
  writer->Signal(SIGKILL);
  writer->Wait(seconds(10));
  e2e::WaitForChild(daemon, seconds(10));
  const Finished dead = Shell("ls $M");
  EXPECT_NE(dead.exit_code, 0);
  EXPECT_NE(dead.all().find("not connected"), std::string::npos) << dead.all();

  Mount();  // on the dead mount point
  const Finished whole = Shell("for i in $(cat $D/synced); do cmp $D/f$i $M/f$i && cmp $D/f$i $S/f$i || exit 1; done");
  EXPECT_EQ(whole.exit_code, 0) << whole.all();
  const Finished status = BtMount({"status"});  // the dead one's socket is gone
  EXPECT_EQ(status.exit_code, 0);
}

TEST_F(DaemonTest, SecondOneOnALivingMountPointIsRefused) {
  Mount();
  const Finished second = BtMount({"demo123", mount().string()});
  EXPECT_NE(second.exit_code, 0);
  EXPECT_EQ(Shell("touch $M/works").exit_code, 0);
}

TEST_F(DaemonTest, StatusTellsOfTheMount) {
  const Finished none = BtMount({"status"});
  EXPECT_NE(none.exit_code, 0);
  Mount();
  const app::MountStatus status = Status();
  EXPECT_EQ(status.mount_point, mount().string());
  EXPECT_EQ(status.pid, Daemon());
  EXPECT_EQ(status.link, "up");
  EXPECT_EQ(status.unwritten_bytes, 0U);
  const Finished text = BtMount({"status", mount().string()});
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_NE(text.out.find("up for"), std::string::npos) << text.out;
  EXPECT_NE(BtMount({"status", local().string()}).exit_code, 0);
  const auto socket = home() / "bt-mount" / fmt::format("{}.sock", Daemon());
  EXPECT_EQ(std::filesystem::status(socket).permissions(), std::filesystem::perms(0600));
}

TEST_F(DaemonTest, UnmountWaitsForUnwrittenBytes) {
  Mount();
  service().link().SetRate(20'000'000, 20'000'000);
  // close() waits for the acknowledgement, so the writer is killed with its bytes still in the daemon.
  const auto writer = StartShell("exec 3> $M/big; head -c 30M /dev/zero >&3; kill -9 $$");
  writer->Wait(seconds(60));
  const Finished unmounted = BtMount({"unmount", mount().string()});
  EXPECT_EQ(unmounted.exit_code, 0) << unmounted.all();
  EXPECT_EQ(Shell("stat -c %s $S/big").out, "31457280\n");
  EXPECT_TRUE(WaitUntil([&] { return Daemon() == -1 || e2e::WaitForChild(Daemon(), seconds(10)) == 0; }));
}

TEST_F(DaemonTest, LogHasOneLineATransition) {
  Mount();
  service().link().CutAll();
  ASSERT_EQ(Shell("touch $M/x").exit_code, 0);
  const std::string log = Log();
  EXPECT_NE(log.find("link: up -> backing off"), std::string::npos) << log;
  EXPECT_NE(log.find("link: backing off -> dialing"), std::string::npos) << log;
  EXPECT_NE(log.find("link: dialing -> up"), std::string::npos) << log;
}

}  // namespace
}  // namespace bt::fault
