#include "transport/server_process.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <string>
#include <thread>

#include <fmt/format.h>

#include "tests/unit/transport/fake_session.h"
#include "transport/reconnecting_fs.h"

namespace bt {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::string StatLine(int pid, char state, int started, std::string_view name = "sftp-server") {
  return fmt::format("{} ({}) {} 1 10 10 0 -1 4194304 95 0 0 0 3 1 0 0 20 0 1 0 {} 9000 400\n", pid, name, state,
                     started);
}

const ServerProcess kOld{71, "5000"};
const ServerProcess kNew{72, "6000"};
const SettleOptions kBrief{.asleep = milliseconds(30), .working = milliseconds(150)};

TEST(ProcessStat, IsReadPastAnyProgramName) {
  for (const char* name : {"sftp-server", "a) S 1 (b", "", ") Z 1 2 3"}) {
    const auto sight = ParseProcessStat(StatLine(4711, 'R', 123456, name));
    ASSERT_TRUE(sight.ok()) << name;
    EXPECT_EQ(sight->process, (ServerProcess{4711, "123456"})) << name;
    EXPECT_EQ(sight->trace, ProcessTrace::kWorking) << name;
  }
}

TEST(ProcessStat, TellsSleepWorkAndDeath) {
  EXPECT_EQ(ParseProcessStat(StatLine(1, 'S', 1))->trace, ProcessTrace::kAsleep);
  EXPECT_EQ(ParseProcessStat(StatLine(1, 'D', 1))->trace, ProcessTrace::kWorking);
  EXPECT_EQ(ParseProcessStat(StatLine(1, 'Z', 1))->trace, ProcessTrace::kGone);
}

TEST(ProcessStat, AnythingElseIsNoProcess) {
  const std::string whole = StatLine(71, 'S', 5000);
  for (const std::string& text : {std::string(), std::string("71"), std::string("71 (x"), std::string("x (y) S 1 2 3"),
                                  std::string("0 (y) S"), std::string("-4") + whole, whole.substr(0, 40)}) {
    EXPECT_FALSE(ParseProcessStat(text).ok()) << text;
  }
}

bool WaitForCalls(FakeRemoteFs& server, FakeOp op, std::uint64_t count) {
  const OpContext ctx = Soon();
  while (server.script().count(op) < count && ctx.Check().ok()) {
    std::this_thread::yield();
  }
  return server.script().count(op) >= count;
}

class ServerProcessTest : public testing::Test {
 protected:
  Result<Settled> Await(const SettleOptions& options = kBrief) {
    return AwaitEnd(Soon(), server_, &kOld, &kNew, options);
  }
  FakeRemoteFs server_;
};

TEST_F(ServerProcessTest, IsFoundByProcSelf) {
  EXPECT_FALSE(FindServerProcess(Soon(), server_).ok());
  server_.WriteFile("/proc/self/stat", StatLine(72, 'R', 6000));
  EXPECT_EQ(FindServerProcess(Soon(), server_).value(), kNew);
}

TEST_F(ServerProcessTest, OneThatIsNotThereHasEnded) { EXPECT_EQ(Await().value(), Settled::kGone); }

TEST_F(ServerProcessTest, AnotherOneWithItsNumberMeansThatItHasEnded) {
  server_.WriteFile("/proc/71/stat", StatLine(71, 'R', 7777));
  EXPECT_EQ(Await().value(), Settled::kGone);
}

TEST_F(ServerProcessTest, IsWaitedFor) {
  server_.WriteFile("/proc/71/stat", StatLine(71, 'R', 5000));
  auto settled = std::async(std::launch::async, [&] { return Await({.asleep = seconds(60), .working = seconds(60)}); });
  ASSERT_TRUE(WaitForCalls(server_, FakeOp::kRead, 3));
  server_.Remove("/proc/71");
  EXPECT_EQ(settled.get().value(), Settled::kGone);
}

TEST_F(ServerProcessTest, OneThatSleepsOnIsLeftAlone) {
  server_.WriteFile("/proc/71/stat", StatLine(71, 'S', 5000));
  EXPECT_EQ(Await().value(), Settled::kAsleep);
}

TEST_F(ServerProcessTest, OneThatWorksIsGrantedMoreTime) {
  server_.WriteFile("/proc/71/stat", StatLine(71, 'D', 5000));
  const TimePoint began = Clock::now();
  EXPECT_EQ(Await().value(), Settled::kWorking);
  EXPECT_GE(Clock::now() - began, kBrief.working);
}

TEST_F(ServerProcessTest, OneProcessForAllConnectionsCannotBeWaitedFor) {
  server_.WriteFile("/proc/71/stat", StatLine(71, 'S', 5000));
  EXPECT_EQ(AwaitEnd(Soon(), server_, &kOld, &kOld, kBrief).value(), Settled::kNotTraceable);
  EXPECT_EQ(AwaitEnd(Soon(), server_, nullptr, &kNew, kBrief).value(), Settled::kNotTraceable);
}

TEST_F(ServerProcessTest, LostConnectionEndsTheWait) {
  server_.script().OnNextCall(FakeOp::kOpen, Fault::NotDone(kCut));
  EXPECT_EQ(Await().error().code, Code::kDisconnected);
}

// The link keeper with such servers.
class Settling : public testing::Test {
 protected:
  Settling() { server_.WriteFile("/proc/self/stat", StatLine(71, 'S', 5000)); }

  void Start() {
    Link::Options options = Quick();
    options.settle = {.asleep = seconds(60), .working = seconds(60)};
    link_.emplace(dialer_, dialer_.Connect(), options, [] { return 0.5; });
    ASSERT_TRUE(WaitForCalls(server_, FakeOp::kClose, 1));  // the keeper has looked who serves
    server_.WriteFile("/proc/self/stat", StatLine(72, 'S', 6000));
    server_.WriteFile("/proc/71/stat", StatLine(71, 'S', 5000));
  }
  void LoseAWrite() {
    const auto connection = link_->Acquire(Soon());
    ASSERT_TRUE(connection.ok());
    static_cast<void>(connection->Change([]() -> Status { return kCut; }));
    link_->ReportLost(connection->generation, kCut);
  }
  static OpContext AMoment() { return OpContext::WithTimeout(milliseconds(100)); }

  FakeRemoteFs server_;
  FakeDialer dialer_{server_};
  std::optional<Link> link_;
};

TEST_F(Settling, NothingIsSentUntilTheOldServerHasEnded) {
  Start();
  LoseAWrite();
  EXPECT_EQ(link_->Acquire(AMoment()).error().code, Code::kTimedOut);
  server_.Remove("/proc/71");
  EXPECT_TRUE(link_->Acquire(Soon()).ok());
}

TEST_F(Settling, ServersOfFurtherConnectionsAreWaitedForAsWell) {
  Start();
  server_.Remove("/proc/71");
  server_.WriteFile("/proc/73/stat", StatLine(73, 'S', 5500));
  dialer_.latest()->SetUnsettled(
      {ServerProcess{.pid = 74, .started = "5500"}, ServerProcess{.pid = 73, .started = "5500"}});
  LoseAWrite();
  EXPECT_EQ(link_->Acquire(AMoment()).error().code, Code::kTimedOut);
  server_.Remove("/proc/73");
  EXPECT_TRUE(link_->Acquire(Soon()).ok());
}

TEST_F(Settling, WhereNothingWasUnansweredNobodyWaits) {
  Start();
  const auto connection = link_->Acquire(Soon());
  ASSERT_TRUE(connection->Change([]() -> Status { return {}; }).ok());
  const Error not_sent{Code::kDisconnected, "cut", "fake.cut", Fate::kNotSent};
  static_cast<void>(connection->Change([&]() -> Status { return not_sent; }));
  link_->ReportLost(connection->generation, kCut);
  EXPECT_TRUE(link_->Acquire(Soon()).ok());
}

TEST_F(Settling, AnotherContainerIsNotWaitedFor) {
  Start();
  dialer_.SetHostKey("SHA256:two");
  LoseAWrite();
  EXPECT_TRUE(link_->Acquire(Soon()).ok());
}

TEST_F(Settling, ConnectionLostWhileWaitingIsFollowedByOneThatWaitsAsWell) {
  Start();
  Fault cut = Fault::NotDone(kCut);  // when asked who serves the new one
  cut.action = [&] { dialer_.latest()->Abort(kCut); };
  server_.script().OnNextCall(FakeOp::kOpen, cut);
  LoseAWrite();
  EXPECT_EQ(link_->Acquire(AMoment()).error().code, Code::kTimedOut);
  server_.Remove("/proc/71");
  EXPECT_TRUE(link_->Acquire(Soon()).ok());
}

// Each connection lives for a shorter time than is granted to a server that cannot be seen.
TEST_F(Settling, BlindWaitRunsOnOverConnectionsThatDoNotLast) {
  Link::Options options = Quick();
  options.settle = {.look_at_processes = false, .asleep = milliseconds(400), .working = seconds(60)};
  link_.emplace(dialer_, dialer_.Connect(), options, [] { return 0.5; });
  LoseAWrite();
  const std::jthread cutter([this](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      std::this_thread::sleep_for(milliseconds(100));
      dialer_.latest()->Abort(kCut);
    }
  });
  EXPECT_TRUE(link_->Acquire(Soon()).ok());
}

TEST_F(Settling, UnmountingDoesNotWait) {
  Start();
  LoseAWrite();
  EXPECT_EQ(link_->Acquire(AMoment()).error().code, Code::kTimedOut);
  const TimePoint began = Clock::now();
  link_->Stop();
  link_.reset();
  EXPECT_LT(Clock::now() - began, seconds(30));  // of the sixty that it would wait
}

}  // namespace
}  // namespace bt
