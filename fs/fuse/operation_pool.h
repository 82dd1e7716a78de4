// The threads on which requests run from start to end as straight-line code, blocking with a deadline and a cancel
// token. Threads are started on demand up to a limit and end after a while without work.
//
// A task that finds all threads busy waits in a queue, first in, first out. While it waits there it can still be
// cancelled or run out of time: a thread of its own (the reaper) refuses it at that moment, so nobody hangs behind
// others that hang.
//
// Data tasks (reads and writes) may use only a part of the threads, so that a stat is still answered when every read
// waits for a slow server.
//
// Threading: Submit() from any thread, never blocks on a task. Task::Run() is called on a pool thread, Task::Refuse()
// on the reaper, on the submitting thread (while stopping) or in Stop(); exactly one of the two is called, once, with
// no lock held; neither after AnswerFromMemory() said true.
#pragma once

#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

#include "transport/base/op_context.h"
#include "transport/base/sync.h"

namespace bt::fuse {

enum class TaskKind { kMetadata, kData };

class PoolTask {
 public:
  virtual ~PoolTask() = default;
  virtual void Run() = 0;
  // Instead of Run(): the context ended while the task was still queued, or the pool is stopping.
  virtual void Refuse(const Error& why) = 0;
  // Constant for the life of the task.
  virtual const OpContext& context() const = 0;
  virtual TaskKind kind() const = 0;

  // A task that is still queued at this time is asked whether it can be answered without running: the threads may all
  // wait for a link that is dead. On the reaper, with no lock held; true: it was, and is done with. False: it waits on,
  // and is asked again at the new time.
  virtual TimePoint impatient_at() const { return TimePoint::max(); }
  virtual bool AnswerFromMemory() { return false; }
};

struct OperationPoolOptions {
  std::size_t max_threads = 128;
  std::size_t max_data_threads = 96;  // at most max_threads
  std::chrono::milliseconds idle_timeout{10'000};
};

class OperationPool {
 public:
  explicit OperationPool(OperationPoolOptions options);
  ~OperationPool();  // Stop()
  OperationPool(const OperationPool&) = delete;
  OperationPool& operator=(const OperationPool&) = delete;

  void Submit(std::unique_ptr<PoolTask> task);

  // Refuses what is queued and everything later, and waits for what runs: cancel that first.
  void Stop();

  std::size_t thread_count() const;  // running and idle
  std::size_t queued_count() const;

 private:
  struct Worker;
  using WorkerList = std::list<std::unique_ptr<Worker>>;

  // Tells the reaper when to look. Has a lock of its own because a stop callback rings it while other locks are held:
  // nothing else is ever locked under it.
  class Alarm {
   public:
    void Ring();
    void RingAt(TimePoint when);
    // Until rung, until the time given to RingAt, or until `stop`. Resets both.
    void Wait(const std::stop_token& stop);

   private:
    Mutex mutex_;
    CondVar changed_;
    bool rung_ GUARDED_BY(mutex_) = false;
    TimePoint next_ GUARDED_BY(mutex_) = TimePoint::max();
  };
  struct RingAlarm {
    Alarm* alarm;
    void operator()() const { alarm->Ring(); }
  };
  struct Queued {
    std::unique_ptr<PoolTask> task;
    std::optional<std::stop_callback<RingAlarm>> on_cancel;
  };
  using Queue = std::list<Queued>;

  std::unique_ptr<PoolTask> PlaceLocked(std::unique_ptr<PoolTask> task) REQUIRES(mutex_);
  Queue& QueueLocked(TaskKind kind) REQUIRES(mutex_) { return kind == TaskKind::kData ? data_ : metadata_; }
  bool MayRunLocked(TaskKind kind) const REQUIRES(mutex_);
  bool StartWorkerLocked(std::unique_ptr<PoolTask>& task) REQUIRES(mutex_);
  void EnqueueLocked(std::unique_ptr<PoolTask> task) REQUIRES(mutex_);
  std::unique_ptr<PoolTask> NextLocked() REQUIRES(mutex_);
  std::unique_ptr<PoolTask> WaitForTask(Worker& self);
  void Work(Worker& self);
  void Reap(const std::stop_token& stop);
  void RefuseEnded();
  void AskImpatient();
  void JoinFinished();

  const OperationPoolOptions options_;

  mutable Mutex mutex_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::size_t data_running_ GUARDED_BY(mutex_) = 0;
  Queue metadata_ GUARDED_BY(mutex_);
  Queue data_ GUARDED_BY(mutex_);
  std::vector<Worker*> idle_ GUARDED_BY(mutex_);  // a stack: the rest can go to sleep for good
  WorkerList workers_ GUARDED_BY(mutex_);
  WorkerList finished_ GUARDED_BY(mutex_);  // to be joined by the reaper
  Alarm alarm_;
  std::jthread reaper_;
};

}  // namespace bt::fuse
