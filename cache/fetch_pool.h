// The threads that fetch ahead. Each runs one task from start to end, blocking as it likes; more tasks wait in a queue,
// first in, first out. Threads start on demand and end after a while without work.
//
// Threading: Submit() from any thread, never blocks. Tasks run without any lock held.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <list>
#include <stop_token>
#include <thread>

#include "transport/base/op_context.h"
#include "transport/base/sync.h"

namespace bt {

class FetchPool {
 public:
  explicit FetchPool(std::size_t max_threads) : max_threads_(max_threads) {}
  ~FetchPool();  // Stop()
  FetchPool(const FetchPool&) = delete;
  FetchPool& operator=(const FetchPool&) = delete;

  // False when the pool has stopped: the task will not run.
  bool Submit(std::function<void()> task);

  // Tasks must end when this is requested.
  std::stop_token stopping() const { return stop_.get_token(); }

  // Ends what runs, drops what waits, joins.
  void Stop();

 private:
  struct Worker {
    bool finished = false;
    std::jthread thread;
  };

  void Work(Worker& self);

  const std::size_t max_threads_;
  std::stop_source stop_;

  Mutex mutex_;
  CondVar work_;
  std::deque<std::function<void()>> tasks_ GUARDED_BY(mutex_);
  std::size_t idle_ GUARDED_BY(mutex_) = 0;
  bool stopped_ GUARDED_BY(mutex_) = false;
  std::list<Worker> workers_ GUARDED_BY(mutex_);
};

}  // namespace bt
