#include "transport/link.h"

#include <gtest/gtest.h>

#include <ctime>
#include <future>
#include <stop_token>
#include <thread>
#include <vector>

#include "tests/unit/transport/fake_session.h"

namespace bt {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class LinkTest : public testing::Test {
 protected:
  Link& Start(Link::Options options = Quick()) {
    link_.emplace(dialer_, dialer_.Connect(), options, [] { return 0.5; });
    return *link_;
  }

  FakeRemoteFs server_;
  FakeDialer dialer_{server_};
  std::optional<Link> link_;
};

TEST_F(LinkTest, GivesTheFirstConnectionAtOnce) {
  const auto connection = Start().Acquire(Soon());
  ASSERT_TRUE(connection.ok());
  EXPECT_EQ(connection->generation, 1U);
  EXPECT_EQ(connection->container, 1U);
  EXPECT_EQ(dialer_.dials(), 0);
}

TEST_F(LinkTest, DialsAgainWhenTheSessionEndsByItself) {
  Link& link = Start();
  dialer_.latest()->Abort(kCut);
  const auto connection = link.Acquire(Soon());
  ASSERT_TRUE(connection.ok());
  EXPECT_EQ(connection->generation, 2U);
  EXPECT_EQ(connection->container, 1U);
  EXPECT_EQ(link.status().reconnects, 1U);
}

TEST_F(LinkTest, NoticesAnEndThatNobodyReports) {
  Start();
  dialer_.latest()->Abort(kCut);
  EXPECT_TRUE(dialer_.WaitForDials(1));
}

TEST_F(LinkTest, ReportedConnectionIsAbortedAndReplacedOnce) {
  Link& link = Start();
  const auto first = dialer_.latest();
  link.ReportLost(1, kCut);
  link.ReportLost(1, kCut);
  ASSERT_TRUE(link.Acquire(Soon()).ok());
  link.ReportLost(1, kCut);  // late news of an old connection
  EXPECT_GE(first->aborts(), 1);
  EXPECT_EQ(link.status().phase, LinkState::Phase::kUp);
  EXPECT_EQ(link.Acquire(Soon())->generation, 2U);
}

TEST_F(LinkTest, WaitEndsWithTheDeadline) {
  Link& link = Start();
  dialer_.Hold(true);
  link.ReportLost(1, kCut);
  const auto connection = link.Acquire(OpContext::WithTimeout(milliseconds(20)));
  ASSERT_FALSE(connection.ok());
  EXPECT_EQ(connection.error().code, Code::kTimedOut);
  EXPECT_EQ(connection.error().fate, Fate::kNotSent);
  EXPECT_NE(connection.error().text.find("connection reset"), std::string::npos) << connection.error().text;
}

TEST_F(LinkTest, ThoseWhoWaitTakeNoProcessor) {
  Link& link = Start();
  dialer_.Hold(true);
  link.ReportLost(1, kCut);
  const auto processor = [] {
    timespec used{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
  };
  const auto before = processor();
  {
    std::vector<std::jthread> waiters(4);
    for (std::jthread& waiter : waiters) {
      waiter = std::jthread([&link] { static_cast<void>(link.Acquire(OpContext::WithTimeout(milliseconds(400)))); });
    }
  }
  EXPECT_LT(processor() - before, milliseconds(200)) << "waking each other takes all there is";
}

TEST_F(LinkTest, WaitEndsWithTheCancellation) {
  Link& link = Start();
  dialer_.Hold(true);
  link.ReportLost(1, kCut);
  ASSERT_TRUE(dialer_.WaitForDials(1));
  std::stop_source cancel;
  auto waiting = std::async(std::launch::async, [&] {
    return link.Acquire(OpContext{TimePoint::max(), cancel.get_token()});
  });
  cancel.request_stop();
  const auto connection = waiting.get();
  ASSERT_FALSE(connection.ok());
  EXPECT_EQ(connection.error().code, Code::kInterrupted);
}

TEST_F(LinkTest, DemandCutsTheBackoff) {
  Link::Options options = Quick();
  options.backoff.first = options.backoff.cap = seconds(3600);
  Link& link = Start(options);
  link.ReportLost(1, kCut);
  EXPECT_TRUE(link.Acquire(Soon()).ok());
}

TEST_F(LinkTest, RetryAfterIsHonouredAgainstDemand) {
  Link& link = Start();
  dialer_.AskForPatience(seconds(3600));
  dialer_.FailNext({Code::kUnavailable, "the service is busy", "access.api-unavailable", Fate::kNotSent});
  link.ReportLost(1, kCut);
  const auto connection = link.Acquire(OpContext::WithTimeout(milliseconds(200)));
  ASSERT_FALSE(connection.ok());
  EXPECT_EQ(connection.error().code, Code::kTimedOut);
  EXPECT_EQ(dialer_.dials(), 1);
  // But not for ever.
  EXPECT_LE(link.status().next_dial, Link::Options().longest_retry_after);
}

TEST_F(LinkTest, RefusalFailsFastWithItsReason) {
  Link& link = Start();
  dialer_.FailAlways(Error{Code::kNotRunning, "the job is STOPPED", "access.not-running", Fate::kNotSent});
  link.ReportLost(1, kCut);
  const auto first = link.Acquire(Soon());  // waits for the dial
  ASSERT_FALSE(first.ok());
  EXPECT_EQ(first.error().code, Code::kNotRunning);
  EXPECT_EQ(link.Acquire(Soon()).error().text, "the job is STOPPED");
  EXPECT_EQ(dialer_.dials(), 1);
  EXPECT_EQ(link.status().phase, LinkState::Phase::kRefused);
  EXPECT_FALSE(link.reachable());
}

TEST_F(LinkTest, ComesBackAfterARefusal) {
  Link::Options options = Quick();
  options.timing.refused_retry = milliseconds(5);
  Link& link = Start(options);
  dialer_.FailNext({Code::kRefused, "no", "access.key-refused", Fate::kNotSent});
  link.ReportLost(1, kCut);
  EXPECT_EQ(link.Acquire(Soon()).error().code, Code::kRefused);
  ASSERT_TRUE(dialer_.WaitForDials(2));
  EXPECT_TRUE(link.Acquire(Soon()).ok());
}

TEST_F(LinkTest, AnotherHostKeyIsAnotherContainer) {
  Link& link = Start();
  dialer_.SetHostKey("SHA256:two");
  link.ReportLost(1, kCut);
  const auto connection = link.Acquire(Soon());
  ASSERT_TRUE(connection.ok());
  EXPECT_EQ(connection->container, 2U);
  EXPECT_EQ(link.status().containers, 2U);
}

TEST_F(LinkTest, SilenceIsPingedAndThenGivenUp) {
  Link::Options options = Quick();
  options.timing.ping_after = milliseconds(10);
  options.timing.dead_after = milliseconds(50);
  Link& link = Start(options);
  const auto first = dialer_.latest();  // the fake never hears anything
  ASSERT_TRUE(dialer_.WaitForDials(1));
  EXPECT_GE(server_.script().count(FakeOp::kLstat), 1U);
  EXPECT_GE(first->aborts(), 1);
  EXPECT_EQ(first->ended()->tag, "link.silent");
  link.Stop();
}

TEST_F(LinkTest, DeadSftpServerOnALivingConnectionIsNoticedByThePing) {
  Link::Options options = Quick();
  options.timing.ping_after = milliseconds(10);
  options.timing.dead_after = seconds(3600);
  server_.script().OnNextCall(FakeOp::kLstat, Fault::ReplyLost());
  Start(options);
  EXPECT_TRUE(dialer_.WaitForDials(1));
}

TEST_F(LinkTest, StopEndsWaitsAndTheSession) {
  Link& link = Start();
  const auto session = dialer_.latest();
  dialer_.Hold(true);
  auto stopped = [&] {
    link.ReportLost(1, kCut);
    EXPECT_TRUE(dialer_.WaitForDials(1));
    auto waiting = std::async(std::launch::async, [&] { return link.Acquire(Soon()); });
    link.Stop();
    return waiting.get();
  }();
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().code, Code::kDisconnected);
  EXPECT_EQ(session->aborts(), 1);
  EXPECT_FALSE(link.Acquire(Soon()).ok());
}

TEST_F(LinkTest, ManyWaitersAreServedByOneDial) {
  Link& link = Start();
  dialer_.Hold(true);
  link.ReportLost(1, kCut);
  std::vector<std::future<Result<Connection>>> waiting;
  for (int i = 0; i < 50; ++i) {
    waiting.push_back(std::async(std::launch::async, [&] { return link.Acquire(Soon()); }));
  }
  ASSERT_TRUE(dialer_.WaitForDials(1));
  dialer_.Hold(false);
  for (auto& one : waiting) {
    const auto connection = one.get();
    ASSERT_TRUE(connection.ok());
    EXPECT_EQ(connection->generation, 2U);
  }
  EXPECT_EQ(dialer_.dials(), 1);
}

// For the thread sanitizer and for deadlocks: users, losses and dials at the same time.
TEST_F(LinkTest, SurvivesLossesFromAllSides) {
  Link& link = Start();
  std::vector<std::jthread> users;
  for (int i = 0; i < 4; ++i) {
    users.emplace_back([&link, i] {
      for (int n = 0; n < 200; ++n) {
        const auto connection = link.Acquire(Soon());
        ASSERT_TRUE(connection.ok());
        if (n % 4 == i) {
          link.ReportLost(connection->generation, kCut);
        } else if (n % 7 == i) {
          connection->session->Abort(kCut);
        }
      }
    });
  }
  users.clear();
  EXPECT_TRUE(link.Acquire(Soon()).ok());
}

}  // namespace
}  // namespace bt
