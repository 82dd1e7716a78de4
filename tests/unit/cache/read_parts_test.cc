// The small parts of reading: the server's clock, the budget, the meter, the pool.
#include <gtest/gtest.h>

#include <atomic>
#include <utility>

#include "cache/fetch_pool.h"
#include "cache/memory_budget.h"
#include "cache/transfer_meter.h"
#include "transport/base/units.h"
#include "transport/server_clock.h"

namespace bt {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(ServerClock, SettlesNothingBeforeATimeWasSeen) {
  const ServerClock clock;
  EXPECT_FALSE(clock.Settled(0, Clock::now()));
}

TEST(ServerClock, SettlesWhatLiesFurtherBackThanTheMargin) {
  ServerClock clock;
  const TimePoint now = Clock::now();
  clock.Reached(1'000'000, now);
  EXPECT_TRUE(clock.Settled(1'000'000 - ServerClock::kMargin, now));
  EXPECT_FALSE(clock.Settled(1'000'001 - ServerClock::kMargin, now));
}

TEST(ServerClock, GoesOnWithOurOwn) {
  ServerClock clock;
  const TimePoint now = Clock::now();
  clock.Reached(1'000'000, now);
  EXPECT_FALSE(clock.Settled(1'000'000, now + seconds(ServerClock::kMargin) - milliseconds(1)));
  EXPECT_TRUE(clock.Settled(1'000'000, now + seconds(ServerClock::kMargin)));
}

TEST(ServerClock, IsNotSetBack) {
  ServerClock clock;
  const TimePoint now = Clock::now();
  clock.Reached(1'000'000, now);
  clock.Reached(900'000, now);
  EXPECT_TRUE(clock.Settled(1'000'000 - ServerClock::kMargin, now));
}

TEST(MemoryBudget, GrantsUpToItsLimitAndTakesBack) {
  MemoryBudget budget(100);
  MemoryBudget::Share most = budget.Try(80);
  ASSERT_TRUE(most);
  EXPECT_FALSE(budget.Try(21));
  EXPECT_EQ(budget.used(), 80U);
  most = MemoryBudget::Share();
  EXPECT_TRUE(budget.Try(100));
  EXPECT_EQ(budget.used(), 0U);
}

TEST(MemoryBudget, AlwaysGrantsWhatSomebodyWaitsFor) {
  MemoryBudget budget(100);
  const MemoryBudget::Share much = budget.Take(1000);
  EXPECT_EQ(budget.used(), 1000U);
  EXPECT_FALSE(budget.Try(1));
}

TEST(TransferMeter, StartsAtItsFloor) {
  const TransferMeter meter;
  EXPECT_EQ(meter.Window(1_GiB), TransferMeter::kFloor);
  EXPECT_EQ(meter.Window(1_MiB), 1_MiB);
}

TEST(TransferMeter, WantsTwiceWhatFitsIntoARoundTrip) {
  TransferMeter meter;
  TimePoint now = Clock::now();
  for (int i = 0; i < 200; ++i) {  // 100 MiB a second, each fetch 100 ms long
    meter.Fetched(1_MiB, now - milliseconds(100), now);
    now += milliseconds(10);
  }
  EXPECT_NEAR(static_cast<double>(meter.Window(1_GiB)), static_cast<double>(20_MiB), static_cast<double>(2_MiB));
}

TEST(FetchPool, RunsWhatItIsGivenAndNothingAfterItStopped) {
  std::atomic<int> runs{0};
  FetchPool pool(4);
  std::atomic<bool> go{false};
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(pool.Submit([&] {
      go.wait(false);
      ++runs;
    }));
  }
  go = true;
  go.notify_all();
  while (runs < 100) {
    std::this_thread::yield();
  }
  pool.Stop();
  EXPECT_FALSE(pool.Submit([&] { ++runs; }));
  EXPECT_EQ(runs, 100);
}

TEST(FetchPool, TellsItsTasksToEnd) {
  FetchPool pool(1);
  std::atomic<bool> started{false};
  pool.Submit([&] {
    started = true;
    while (!pool.stopping().stop_requested()) {
      std::this_thread::yield();
    }
  });
  while (!started) {
    std::this_thread::yield();
  }
  pool.Stop();
}

}  // namespace
}  // namespace bt
