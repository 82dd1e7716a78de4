// Executes the tables of transport/RECONNECT.md: each row is a test of its own kind, so the document cannot drift.

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "transport/link_state.h"
#include "transport/retry_policy.h"

#ifndef BT_RECONNECT_MD
#error "the path of RECONNECT.md comes from CMake"
#endif

namespace bt {
namespace {

using Phase = LinkState::Phase;
using Action = LinkState::Action;
using std::chrono::milliseconds;
using std::chrono::seconds;

using Row = std::vector<std::string>;

std::string Trim(const std::string& text) {
  const auto begin = text.find_first_not_of(' ');
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

// The rows of the table whose first header cell is `header`.
std::vector<Row> Table(const std::string& header) {
  std::ifstream file(BT_RECONNECT_MD);
  std::vector<Row> rows;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("|")) {
      inside = false;
      continue;
    }
    Row row;
    for (std::size_t begin = 1; begin < line.size();) {
      const std::size_t end = line.find('|', begin);
      row.push_back(Trim(line.substr(begin, end - begin)));
      begin = end == std::string::npos ? line.size() : end + 1;
    }
    if (row.front() == header) {
      inside = true;
    } else if (inside && !row.front().starts_with("---")) {
      rows.push_back(row);
    }
  }
  return rows;
}

const TimePoint kStart = TimePoint() + seconds(1000);

// A link that was brought into `phase` at `now` by the events that lead there.
struct Link {
  LinkState state{{}, Backoff({}, [] { return 0.5; })};
  TimePoint now = kStart;

  explicit Link(const std::string& phase) {
    state.StartConnected(now);
    now += seconds(2);
    state.OnReceived(now);
    if (phase == "up") {
      return;
    }
    if (phase == "suspect") {
      now += seconds(5);
      EXPECT_EQ(state.OnTick(now), Action::kPing);
      return;
    }
    if (phase == "stopped") {
      state.OnStop(now);
      return;
    }
    state.OnLost(now);
    if (phase == "backing off") {
      return;
    }
    now = state.next_wakeup();
    EXPECT_EQ(state.OnTick(now), Action::kDial);
    if (phase == "refused") {
      state.OnDialFailed(LinkState::DialFailure::kRefused, std::nullopt, now);
    }
  }

  Action On(const std::string& event) {
    static constexpr const char* kAfter = "tick after ";
    if (event.starts_with(kAfter)) {
      // Silence is counted from the last byte, which came two seconds after the start.
      return state.OnTick(kStart + seconds(2) + seconds(std::stoi(event.substr(std::string(kAfter).size()))));
    }
    if (event == "tick") {
      return state.OnTick(state.next_wakeup() == TimePoint::max() ? now + seconds(60) : state.next_wakeup());
    }
    if (event == "bytes received") {
      state.OnReceived(now + milliseconds(1));
      return Action::kNone;
    }
    if (event == "demand") {
      return state.OnDemand(now + seconds(2));
    }
    now += milliseconds(1);
    if (event == "dialed") {
      return state.OnDialed(now);
    }
    if (event == "dial failed") {
      return state.OnDialFailed(LinkState::DialFailure::kTransient, std::nullopt, now);
    }
    if (event == "dial refused") {
      return state.OnDialFailed(LinkState::DialFailure::kRefused, std::nullopt, now);
    }
    if (event == "lost") {
      return state.OnLost(now);
    }
    if (event == "resumed") {
      return state.OnResumed(now);
    }
    if (event == "stop") {
      return state.OnStop(now);
    }
    ADD_FAILURE() << "RECONNECT.md has an event that this test does not know: " << event;
    return Action::kNone;
  }
};

std::string ActionName(Action action) {
  switch (action) {
    case Action::kNone:
      return "none";
    case Action::kDial:
      return "dial";
    case Action::kPing:
      return "ping";
    case Action::kDrop:
      return "drop";
  }
  return "";
}

TEST(ReconnectTables, EveryTransitionIsAsWritten) {
  const std::vector<Row> rows = Table("state");
  ASSERT_GE(rows.size(), 34U);
  for (const Row& row : rows) {
    SCOPED_TRACE(row[0] + " / " + row[1]);
    Link link(row[0]);
    ASSERT_EQ(PhaseName(link.state.phase()), row[0]);
    const Action action = link.On(row[1]);
    EXPECT_EQ(PhaseName(link.state.phase()), row[2] == "-" ? row[0] : row[2]);
    EXPECT_EQ(ActionName(action), row[3]);
  }
}

TEST(ReconnectTables, EveryOperationIsRetriedOrLookedAtAsWritten) {
  const std::map<std::string, Verdict> verdicts{{"retry", Verdict::kRetry}, {"look", Verdict::kLook}};
  std::map<std::string, Row> rows;
  for (const Row& row : Table("operation")) {
    rows[row[0]] = row;
  }
  ASSERT_EQ(rows.size(), static_cast<std::size_t>(kOperationCount));
  for (int i = 0; i < kOperationCount; ++i) {
    const auto operation = static_cast<Operation>(i);
    SCOPED_TRACE(OperationName(operation));
    const auto row = rows.find(std::string(OperationName(operation)));
    ASSERT_NE(row, rows.end());
    const Error not_sent{Code::kDisconnected, "", "", Fate::kNotSent};
    const Error unknown{Code::kDisconnected, "", "", Fate::kUnknown};
    EXPECT_EQ(Decide(operation, not_sent, 0), verdicts.at(row->second[1]));
    EXPECT_EQ(Decide(operation, unknown, 0), verdicts.at(row->second[2]));
    EXPECT_EQ(IsIdempotent(operation), row->second[2] == "retry");
    EXPECT_EQ(row->second[3].find("done") != std::string::npos, row->second[2] == "look") << "a look needs its words";
  }
}

TEST(RetryPolicy, AnswersOfTheServerAreFinal) {
  for (const Code code : {Code::kNotFound, Code::kExists, Code::kFailure, Code::kTimedOut, Code::kInterrupted,
                          Code::kRefused, Code::kNotRunning}) {
    EXPECT_EQ(Decide(Operation::kRead, Error{code, "", "", Fate::kUnknown}, 0), Verdict::kGiveUp);
  }
}

TEST(RetryPolicy, ServerThatAlwaysAnswersGarbageIsGivenUp) {
  const Error garbage{Code::kProtocol, "", "", Fate::kUnknown};
  EXPECT_EQ(Decide(Operation::kRead, garbage, 0), Verdict::kRetry);
  EXPECT_EQ(Decide(Operation::kRead, garbage, 2), Verdict::kGiveUp);
}

TEST(LinkState, WaitingRequestCutsTheBackoffAtMostOnceASecond) {
  Link link("backing off");
  const TimePoint lost = link.now;
  for (int i = 0; i < 6; ++i) {  // let the ceiling grow
    const TimePoint at = link.state.next_wakeup();
    ASSERT_EQ(link.state.OnTick(at), Action::kDial);
    link.state.OnDialFailed(LinkState::DialFailure::kTransient, std::nullopt, at);
    link.now = at;
  }
  ASSERT_GT(link.now, lost);
  ASSERT_GT(link.state.next_wakeup(), link.now + seconds(2));
  EXPECT_EQ(link.state.OnDemand(link.now + milliseconds(300)), Action::kNone);
  EXPECT_EQ(link.state.next_wakeup(), link.now + seconds(1));
  EXPECT_EQ(link.state.OnTick(link.now + seconds(1)), Action::kDial);
}

TEST(LinkState, RetryAfterIsHonouredEvenWhenARequestWaits) {
  Link link("dialing");
  link.state.OnDialFailed(LinkState::DialFailure::kTransient, seconds(20), link.now);
  EXPECT_EQ(link.state.next_wakeup(), link.now + seconds(20));
  EXPECT_EQ(link.state.OnDemand(link.now + seconds(5)), Action::kNone);
  EXPECT_EQ(link.state.next_wakeup(), link.now + seconds(20));
}

TEST(LinkState, ConnectionThatDiesYoungDoesNotResetTheBackoff) {
  LinkState state({}, Backoff({}, [] { return 0.999; }));
  TimePoint now = kStart;
  state.StartConnected(now);
  Duration last{};
  for (int i = 0; i < 5; ++i) {
    now += milliseconds(10);
    state.OnLost(now);
    last = state.next_wakeup() - now;
    now = state.next_wakeup();
    ASSERT_EQ(state.OnTick(now), Action::kDial);
    state.OnDialed(now);
  }
  EXPECT_GT(last, seconds(3));
  now += seconds(10);
  state.OnReceived(now);
  state.OnLost(now);
  EXPECT_LE(state.next_wakeup() - now, milliseconds(251));
}

TEST(LinkState, IsUpSinceItWasConnectedHoweverOftenItWasSuspected) {
  Link link("suspect");
  EXPECT_EQ(link.state.since(), kStart + seconds(7));
  link.On("bytes received");
  EXPECT_EQ(link.state.phase(), Phase::kUp);
  EXPECT_EQ(link.state.since(), kStart);
}

}  // namespace
}  // namespace bt
