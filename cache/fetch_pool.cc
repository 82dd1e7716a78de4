#include "cache/fetch_pool.h"

#include <utility>

#include "transport/base/thread_name.h"

namespace bt {

namespace {

constexpr std::chrono::seconds kIdle{10};  // then a thread ends

}  // namespace

FetchPool::~FetchPool() { Stop(); }

bool FetchPool::Submit(std::function<void()> task) {
  std::list<Worker> ended;  // joined after the lock; they are past their last use of it
  MutexLock lock(mutex_);
  if (stopped_) {
    return false;
  }
  tasks_.push_back(std::move(task));
  if (idle_ >= tasks_.size()) {
    work_.NotifyOne();
    return true;
  }
  for (auto worker = workers_.begin(); worker != workers_.end();) {
    const auto next = std::next(worker);
    if (worker->finished) {
      ended.splice(ended.end(), workers_, worker);
    }
    worker = next;
  }
  if (workers_.size() < max_threads_) {
    Worker& worker = workers_.emplace_back();
    worker.thread = std::jthread([this, &worker] { Work(worker); });
  }
  return true;
}

void FetchPool::Work(Worker& self) {
  SetThreadName("bt-fetch");
  MutexLock lock(mutex_);
  for (;;) {
    const TimePoint until = Clock::now() + kIdle;
    while (tasks_.empty() && !stopped_ && Clock::now() < until) {
      ++idle_;
      work_.WaitUntil(mutex_, until);
      --idle_;
    }
    if (stopped_ || tasks_.empty()) {
      self.finished = true;
      return;
    }
    std::function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.Unlock();
    task();
    task = nullptr;  // what it holds is given back without the lock
    lock.Lock();
  }
}

void FetchPool::Stop() {
  stop_.request_stop();
  std::list<Worker> workers;
  std::deque<std::function<void()>> dropped;
  {
    MutexLock lock(mutex_);
    stopped_ = true;
    workers.swap(workers_);
    dropped.swap(tasks_);
    work_.NotifyAll();
  }
  dropped.clear();
  workers.clear();
}

}  // namespace bt
