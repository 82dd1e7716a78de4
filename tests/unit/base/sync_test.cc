#include "transport/base/sync.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace bt {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

// A flag that threads wait for, and that tells how many wait: they count themselves under the lock that the wait
// gives up, so whoever sees the count knows that they sleep or are about to.
class Door {
 public:
  Status WaitOpen(const OpContext& ctx) {
    const MutexLock lock(mutex_);
    ++waiting_;
    arrived_.NotifyAll();
    while (!open_) {
      TRY(ctx.Check());
      opened_.Wait(mutex_, ctx);
    }
    return {};
  }
  void AwaitWaiters(int count) {
    const MutexLock lock(mutex_);
    while (waiting_ < count) {
      arrived_.Wait(mutex_);
    }
  }
  void Open() {
    const MutexLock lock(mutex_);
    open_ = true;
    opened_.NotifyAll();
  }

 private:
  Mutex mutex_;
  CondVar arrived_;
  CondVar opened_;
  int waiting_ GUARDED_BY(mutex_) = 0;
  bool open_ GUARDED_BY(mutex_) = false;
};

TEST(Mutex, LetsOneThreadInAtATime) {
  Mutex mutex;
  int count = 0;
  {
    std::vector<std::jthread> threads;
    threads.reserve(4);
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (int round = 0; round < 1000; ++round) {
          const MutexLock lock(mutex);
          ++count;
        }
      });
    }
  }
  EXPECT_EQ(count, 4000);
}

TEST(MutexLock, OpensAndClosesWithinItsScope) {
  Mutex mutex;
  {
    MutexLock lock(mutex);
    lock.Unlock();
    { const MutexLock inner(mutex); }  // would wait for ever if still locked
    lock.Lock();
  }
  const MutexLock again(mutex);
}

TEST(MutexLock, MayEndItsScopeOpen) {
  Mutex mutex;
  {
    MutexLock lock(mutex);
    lock.Unlock();
  }
  const MutexLock again(mutex);
}

TEST(CondVar, WakesEveryWaiter) {
  Door door;
  std::vector<Status> results(3);
  {
    std::vector<std::jthread> threads;
    threads.reserve(results.size());
    for (Status& result : results) {
      threads.emplace_back([&] { result = door.WaitOpen(OpContext{}); });
    }
    door.AwaitWaiters(3);
    door.Open();
  }
  for (const Status& result : results) {
    EXPECT_TRUE(result.ok());
  }
}

TEST(CondVar, WakesAWaiterWithADeadline) {
  Door door;
  Status result = Error{Code::kInternal, "", ""};
  {
    const std::jthread thread([&] { result = door.WaitOpen(OpContext::WithTimeout(hours(1))); });
    door.AwaitWaiters(1);
    door.Open();
  }
  EXPECT_TRUE(result.ok());
}

TEST(CondVar, CancellationEndsAWaitWithoutDeadline) {
  Door door;
  std::stop_source source;
  Status result;
  {
    const std::jthread thread([&] { result = door.WaitOpen(OpContext{TimePoint::max(), source.get_token()}); });
    door.AwaitWaiters(1);
    source.request_stop();
  }
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Code::kInterrupted);
}

TEST(CondVar, CancellationEndsAWaitBeforeItsDeadline) {
  Door door;
  std::stop_source source;
  Status result;
  {
    const std::jthread thread([&] { result = door.WaitOpen(OpContext::WithTimeout(hours(1), source.get_token())); });
    door.AwaitWaiters(1);
    source.request_stop();
  }
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Code::kInterrupted);
}

TEST(CondVar, CancellationBeforeTheWaitEndsItAtOnce) {
  Door door;
  std::stop_source source;
  source.request_stop();
  EXPECT_EQ(door.WaitOpen(OpContext{TimePoint::max(), source.get_token()}).error().code, Code::kInterrupted);
}

TEST(CondVar, DeadlineEndsAWait) {
  Door door;
  EXPECT_EQ(door.WaitOpen(OpContext::WithTimeout(milliseconds(20))).error().code, Code::kTimedOut);
}

TEST(CondVar, DeadlineEndsAWaitThatCouldBeCancelled) {
  Door door;
  std::stop_source source;
  EXPECT_EQ(door.WaitOpen(OpContext::WithTimeout(milliseconds(20), source.get_token())).error().code, Code::kTimedOut);
}

TEST(CondVar, CancelledWaiterLeavesTheOthersWaiting) {
  Door door;
  std::stop_source source;
  Status cancelled;
  Status served = Error{Code::kInternal, "", ""};
  {
    const std::jthread second([&] { served = door.WaitOpen(OpContext::WithTimeout(hours(1))); });
    {
      const std::jthread first([&] { cancelled = door.WaitOpen(OpContext{TimePoint::max(), source.get_token()}); });
      door.AwaitWaiters(2);
      source.request_stop();
    }
    EXPECT_EQ(cancelled.error().code, Code::kInterrupted);
    door.Open();
  }
  EXPECT_TRUE(served.ok());
}

TEST(CondVar, WaitUntilReturnsAtItsDeadline) {
  Mutex mutex;
  CondVar cond;
  const TimePoint deadline = Clock::now() + milliseconds(10);
  const MutexLock lock(mutex);
  while (Clock::now() < deadline) {
    cond.WaitUntil(mutex, deadline);
  }
  EXPECT_GE(Clock::now(), deadline);
}

}  // namespace
}  // namespace bt
