#include "transport/backoff.h"

#include <gtest/gtest.h>

namespace bt {
namespace {

using std::chrono::milliseconds;

Backoff WithRandom(double value) {
  return Backoff({.first = milliseconds(250), .cap = milliseconds(30'000)}, [value] { return value; });
}

TEST(Backoff, CeilingDoublesFromTheFirst) {
  Backoff backoff = WithRandom(0.5);
  backoff.Next();
  EXPECT_EQ(backoff.ceiling(), milliseconds(250));
  backoff.Next();
  EXPECT_EQ(backoff.ceiling(), milliseconds(500));
  backoff.Next();
  EXPECT_EQ(backoff.ceiling(), milliseconds(1000));
}

TEST(Backoff, StaysAtCapOnceReached) {
  Backoff backoff = WithRandom(0.999);
  milliseconds last{};
  for (int i = 0; i < 100; ++i) {
    last = backoff.Next();
  }
  EXPECT_EQ(backoff.ceiling(), milliseconds(30'000));
  EXPECT_LE(last, milliseconds(30'000));
  EXPECT_GT(last, milliseconds(29'000));
}

TEST(Backoff, IsNeverZero) { EXPECT_GT(WithRandom(0.0).Next().count(), 0); }

TEST(Backoff, ResetStartsAnew) {
  Backoff backoff = WithRandom(0.5);
  for (int i = 0; i < 5; ++i) {
    backoff.Next();
  }
  backoff.Reset();
  backoff.Next();
  EXPECT_EQ(backoff.ceiling(), milliseconds(250));
}

}  // namespace
}  // namespace bt
