#include "fs/fuse/operation_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

namespace bt::fuse {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kPatience{30};  // never reached by a passing test

// What became of one task.
struct Outcome {
  std::promise<Code> done;  // kInternal stands for "ran"
  std::future<Code> future = done.get_future();

  Code Get() { return future.wait_for(kPatience) == std::future_status::ready ? future.get() : Code::kTimedOut; }
};
constexpr Code kRan = Code::kInternal;

class TestTask final : public PoolTask {
 public:
  TestTask(Outcome& outcome, OpContext ctx, TaskKind kind, std::function<void(const OpContext&)> body)
      : outcome_(outcome), ctx_(std::move(ctx)), kind_(kind), body_(std::move(body)) {}

  void Run() override {
    if (body_) {
      body_(ctx_);
    }
    outcome_.done.set_value(kRan);
  }
  void Refuse(const Error& why) override { outcome_.done.set_value(why.code); }
  const OpContext& context() const override { return ctx_; }
  TaskKind kind() const override { return kind_; }

 private:
  Outcome& outcome_;
  OpContext ctx_;
  TaskKind kind_;
  std::function<void(const OpContext&)> body_;
};

// Holds tasks until opened.
class Gate {
 public:
  void Pass(const OpContext& ctx) {
    const MutexLock lock(mutex_);
    ++waiting_;
    changed_.NotifyAll();
    while (!open_ && ctx.Check().ok()) {
      changed_.Wait(mutex_, ctx);
    }
    --waiting_;
  }
  void Open() {
    const MutexLock lock(mutex_);
    open_ = true;
    changed_.NotifyAll();
  }
  void WaitFor(int waiting) {
    const MutexLock lock(mutex_);
    while (waiting_ < waiting) {
      changed_.Wait(mutex_);
    }
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool open_ GUARDED_BY(mutex_) = false;
  int waiting_ GUARDED_BY(mutex_) = 0;
};

class OperationPoolTest : public testing::Test {
 protected:
  Outcome& Submit(OperationPool& pool, std::function<void(const OpContext&)> body = {}, OpContext ctx = {},
                  TaskKind kind = TaskKind::kMetadata) {
    Outcome& outcome = *outcomes_.emplace_back(std::make_unique<Outcome>());
    pool.Submit(std::make_unique<TestTask>(outcome, std::move(ctx), kind, std::move(body)));
    return outcome;
  }
  std::function<void(const OpContext&)> ThroughGate() {
    return [this](const OpContext& ctx) { gate_.Pass(ctx); };
  }

  Gate gate_;

 private:
  std::vector<std::unique_ptr<Outcome>> outcomes_;
};

TEST_F(OperationPoolTest, RunsWhatIsSubmitted) {
  OperationPool pool({2, 2, hours(1)});
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(Submit(pool).Get(), kRan);
  }
}

// Knows the answer from the second time on that it is asked.
class ImpatientTask final : public PoolTask {
 public:
  ImpatientTask(Outcome& outcome, std::atomic<int>& asked) : outcome_(outcome), asked_(asked) {}
  void Run() override { outcome_.done.set_value(kRan); }
  void Refuse(const Error& why) override { outcome_.done.set_value(why.code); }
  const OpContext& context() const override { return ctx_; }
  TaskKind kind() const override { return TaskKind::kMetadata; }
  TimePoint impatient_at() const override { return at_; }
  bool AnswerFromMemory() override {
    at_ = Clock::now() + milliseconds(1);
    if (++asked_ < 2) {
      return false;
    }
    outcome_.done.set_value(Code::kExists);  // stands for "from memory"
    return true;
  }

 private:
  Outcome& outcome_;
  std::atomic<int>& asked_;
  OpContext ctx_;
  TimePoint at_ = Clock::now() + milliseconds(1);
};

TEST_F(OperationPoolTest, QueuedTaskIsAnsweredFromMemoryWhileAllThreadsWait) {
  OperationPool pool({1, 1, hours(1)});
  Outcome& blocking = Submit(pool, ThroughGate());
  gate_.WaitFor(1);
  Outcome answered;
  std::atomic<int> asked{0};
  pool.Submit(std::make_unique<ImpatientTask>(answered, asked));
  EXPECT_EQ(answered.Get(), Code::kExists);
  EXPECT_EQ(asked.load(), 2);
  EXPECT_EQ(pool.queued_count(), 0U);
  gate_.Open();
  EXPECT_EQ(blocking.Get(), kRan);
}

TEST_F(OperationPoolTest, GrowsOnlyAsFarAsNeeded) {
  OperationPool pool({8, 8, hours(1)});
  EXPECT_EQ(pool.thread_count(), 0U);
  for (int i = 0; i < 3; ++i) {
    Submit(pool, ThroughGate());
  }
  gate_.WaitFor(3);
  EXPECT_EQ(pool.thread_count(), 3U);
  gate_.Open();
}

TEST_F(OperationPoolTest, QueuesBeyondTheLimitInOrder) {
  OperationPool pool({1, 1, hours(1)});
  Submit(pool, ThroughGate());
  gate_.WaitFor(1);
  std::mutex mutex;
  std::vector<int> order;
  std::vector<Outcome*> queued;
  for (int i = 0; i < 5; ++i) {
    queued.push_back(&Submit(pool, [&, i](const OpContext&) {
      const std::lock_guard lock(mutex);
      order.push_back(i);
    }));
  }
  EXPECT_EQ(pool.thread_count(), 1U);
  EXPECT_EQ(pool.queued_count(), 5U);
  gate_.Open();
  for (Outcome* outcome : queued) {
    EXPECT_EQ(outcome->Get(), kRan);
  }
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST_F(OperationPoolTest, AnswersACancelledTaskThatFindsNoThread) {
  OperationPool pool({1, 1, hours(1)});
  Submit(pool, ThroughGate());
  gate_.WaitFor(1);
  std::stop_source cancelled;
  Outcome& queued = Submit(pool, {}, OpContext{TimePoint::max(), cancelled.get_token()});
  Outcome& other = Submit(pool);
  cancelled.request_stop();
  EXPECT_EQ(queued.Get(), Code::kInterrupted);
  EXPECT_EQ(pool.queued_count(), 1U);
  gate_.Open();
  EXPECT_EQ(other.Get(), kRan);
}

TEST_F(OperationPoolTest, AnswersATaskThatWasCancelledBeforeItCame) {
  OperationPool pool({1, 1, hours(1)});
  Submit(pool, ThroughGate());
  gate_.WaitFor(1);
  std::stop_source cancelled;
  cancelled.request_stop();
  EXPECT_EQ(Submit(pool, {}, OpContext{TimePoint::max(), cancelled.get_token()}).Get(), Code::kInterrupted);
  gate_.Open();
}

TEST_F(OperationPoolTest, AnswersATaskWhoseDeadlinePassesInTheQueue) {
  OperationPool pool({1, 1, hours(1)});
  Submit(pool, ThroughGate());
  gate_.WaitFor(1);
  Outcome& late = Submit(pool, {}, OpContext::WithTimeout(hours(1)));
  Outcome& soon = Submit(pool, {}, OpContext::WithTimeout(milliseconds(20)));
  Outcome& later = Submit(pool, {}, OpContext::WithTimeout(milliseconds(40)));
  EXPECT_EQ(soon.Get(), Code::kTimedOut);
  EXPECT_EQ(later.Get(), Code::kTimedOut);
  gate_.Open();
  EXPECT_EQ(late.Get(), kRan);
}

TEST_F(OperationPoolTest, KeepsThreadsForMetadataWhenAllReadsHang) {
  OperationPool pool({4, 3, hours(1)});
  std::vector<Outcome*> reads;
  for (int i = 0; i < 20; ++i) {
    reads.push_back(&Submit(pool, ThroughGate(), {}, TaskKind::kData));
  }
  gate_.WaitFor(3);
  EXPECT_EQ(pool.queued_count(), 17U);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(Submit(pool).Get(), kRan);
  }
  gate_.Open();
  for (Outcome* read : reads) {
    EXPECT_EQ(read->Get(), kRan);
  }
}

TEST_F(OperationPoolTest, EndsIdleThreads) {
  OperationPool pool({4, 4, milliseconds(1)});
  for (int i = 0; i < 4; ++i) {
    Submit(pool, ThroughGate());
  }
  gate_.WaitFor(4);
  gate_.Open();
  while (pool.thread_count() > 0) {
    std::this_thread::yield();
  }
  EXPECT_EQ(Submit(pool).Get(), kRan);
}

TEST_F(OperationPoolTest, StopRefusesWhatIsQueuedAndWaitsForWhatRuns) {
  OperationPool pool({1, 1, hours(1)});
  std::stop_source cancelled;
  Outcome& running = Submit(pool, ThroughGate(), OpContext{TimePoint::max(), cancelled.get_token()});
  gate_.WaitFor(1);
  Outcome& queued = Submit(pool);
  cancelled.request_stop();
  pool.Stop();
  EXPECT_EQ(running.Get(), kRan);
  const Code code = queued.Get();  // it may still have got the thread
  EXPECT_TRUE(code == Code::kInterrupted || code == kRan);
  EXPECT_EQ(Submit(pool).Get(), Code::kInterrupted);
  EXPECT_EQ(pool.thread_count(), 0U);
}

TEST_F(OperationPoolTest, SurvivesASwarmOfShortTasksAndCancellations) {
  OperationPool pool({8, 4, milliseconds(1)});
  std::atomic<int> ended{0};
  struct Counting final : PoolTask {
    Counting(std::atomic<int>& count, OpContext context, TaskKind kind)
        : ended(count), ctx(std::move(context)), what(kind) {}
    void Run() override { ++ended; }
    void Refuse(const Error& /*why*/) override { ++ended; }
    const OpContext& context() const override { return ctx; }
    TaskKind kind() const override { return what; }
    std::atomic<int>& ended;
    OpContext ctx;
    TaskKind what;
  };
  constexpr int kEach = 2000;
  {
    std::vector<std::jthread> submitters;
    for (int s = 0; s < 3; ++s) {
      submitters.emplace_back([&] {
        for (int i = 0; i < kEach; ++i) {
          std::stop_source source;
          const TaskKind kind = i % 2 == 0 ? TaskKind::kData : TaskKind::kMetadata;
          pool.Submit(std::make_unique<Counting>(
              ended, OpContext::WithTimeout(i % 5 == 0 ? milliseconds(0) : milliseconds(50), source.get_token()),
              kind));
          if (i % 3 == 0) {
            source.request_stop();
          }
        }
      });
    }
  }
  pool.Stop();
  EXPECT_EQ(ended.load(), 3 * kEach);
}

}  // namespace
}  // namespace bt::fuse
