#include "transport/base/op_context.h"

#include <gtest/gtest.h>

namespace bt {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

TEST(OpContext, WaitsForEverUnlessToldOtherwise) {
  const OpContext ctx;
  EXPECT_TRUE(ctx.Check().ok());
  EXPECT_EQ(ctx.deadline, TimePoint::max());
  EXPECT_EQ(ctx.Remaining(milliseconds(77)), milliseconds(77));
}

TEST(OpContext, TimesOutAtItsDeadline) {
  const OpContext ctx{Clock::now(), {}};
  const Status status = ctx.Check();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Code::kTimedOut);
  EXPECT_EQ(ctx.Remaining(milliseconds(50)), milliseconds(0));
}

TEST(OpContext, IsGoodBeforeItsDeadline) {
  const OpContext ctx = OpContext::WithTimeout(hours(1));
  EXPECT_TRUE(ctx.Check().ok());
  EXPECT_EQ(ctx.Remaining(milliseconds(50)), milliseconds(50));
}

TEST(OpContext, RemainingNeverReachesZeroBeforeTheDeadline) {
  // Rounded up: a poll() of 0 ms in the last millisecond would spin.
  const OpContext ctx{Clock::now() + hours(1), {}};
  EXPECT_GT(ctx.Remaining(hours(2)), milliseconds(0));
  EXPECT_LE(ctx.Remaining(hours(2)), hours(1));
}

TEST(OpContext, IsInterruptedWhenCancelled) {
  std::stop_source source;
  const OpContext ctx = OpContext::WithTimeout(hours(1), source.get_token());
  EXPECT_TRUE(ctx.Check().ok());
  source.request_stop();
  const Status status = ctx.Check();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Code::kInterrupted);
}

TEST(OpContext, CopiesShareTheCancellation) {
  std::stop_source source;
  const OpContext first{TimePoint::max(), source.get_token()};
  OpContext second = first;
  second.deadline = Clock::now() + hours(1);
  source.request_stop();
  EXPECT_EQ(second.Check().error().code, Code::kInterrupted);
}

TEST(OpContext, InterruptionIsToldBeforeTheTimeout) {
  std::stop_source source;
  source.request_stop();
  const OpContext ctx{TimePoint::min(), source.get_token()};
  EXPECT_EQ(ctx.Check().error().code, Code::kInterrupted);
}

TEST(OpContext, ErrorTellsHowFarTheCallerGot) {
  const OpContext ctx{TimePoint::min(), {}};
  EXPECT_EQ(ctx.Check().error().fate, Fate::kNotSent);
  EXPECT_EQ(ctx.Check(Fate::kUnknown).error().fate, Fate::kUnknown);
}

TEST(OpContext, TimeoutBeyondTheClockMeansForEver) {
  EXPECT_EQ(OpContext::WithTimeout(Duration::max()).deadline, TimePoint::max());
}

TEST(OpContext, NegativeTimeoutIsOverAtOnce) {
  EXPECT_EQ(OpContext::WithTimeout(milliseconds(-1)).Check().error().code, Code::kTimedOut);
}

}  // namespace
}  // namespace bt
