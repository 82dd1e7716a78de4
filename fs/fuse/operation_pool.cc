#include "fs/fuse/operation_pool.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "transport/base/thread_name.h"

namespace bt::fuse {

struct OperationPool::Worker {
  CondVar wake;
  std::unique_ptr<PoolTask> next;  // guarded by the pool's mutex; set by whoever takes this worker off the idle stack
  std::jthread thread;
};

OperationPool::OperationPool(OperationPoolOptions options)
    : options_(options), reaper_([this](const std::stop_token& stop) { Reap(stop); }) {}

OperationPool::~OperationPool() { Stop(); }

void OperationPool::Submit(std::unique_ptr<PoolTask> task) {
  bool stopping = false;
  {
    const MutexLock lock(mutex_);
    stopping = stopping_;
    if (!stopping) {
      task = PlaceLocked(std::move(task));
    }
  }
  if (task == nullptr) {
    return;
  }
  if (stopping) {
    task->Refuse(Error{Code::kInterrupted, "the mount is ending", "pool.stopping", Fate::kNotSent});
  } else {
    task->Refuse(Error{Code::kInternal, "the system gives no thread to run this on", "pool.no-thread", Fate::kNotSent});
  }
}

std::unique_ptr<PoolTask> OperationPool::PlaceLocked(std::unique_ptr<PoolTask> task) {
  const TaskKind kind = task->kind();
  if (MayRunLocked(kind) && QueueLocked(kind).empty()) {
    if (!idle_.empty()) {
      Worker& worker = *idle_.back();
      idle_.pop_back();
      worker.next = std::move(task);
      worker.wake.NotifyOne();
    } else if (workers_.size() < options_.max_threads && !StartWorkerLocked(task) && workers_.empty()) {
      return task;
    }
  }
  if (task != nullptr) {
    EnqueueLocked(std::move(task));
  } else if (kind == TaskKind::kData) {
    ++data_running_;
  }
  return nullptr;
}

bool OperationPool::MayRunLocked(TaskKind kind) const {
  return kind == TaskKind::kMetadata || data_running_ < options_.max_data_threads;
}

bool OperationPool::StartWorkerLocked(std::unique_ptr<PoolTask>& task) {
  auto worker = std::make_unique<Worker>();
  Worker& self = *worker;
  self.next = std::move(task);
  workers_.push_back(std::move(worker));
  try {
    self.thread = std::jthread([this, &self] { Work(self); });
  } catch (const std::system_error& error) {
    spdlog::warn("no new thread beyond {}: {} [pool.no-thread]", workers_.size() - 1, error.what());
    task = std::move(self.next);
    workers_.pop_back();
    return false;
  }
  return true;
}

void OperationPool::EnqueueLocked(std::unique_ptr<PoolTask> task) {
  const OpContext& context = task->context();
  alarm_.RingAt(std::min(context.deadline, task->impatient_at()));
  Queued& queued = QueueLocked(task->kind()).emplace_back();
  // Runs at once, here, when the request was cancelled already: it only rings the alarm.
  queued.on_cancel.emplace(context.cancel, RingAlarm{&alarm_});
  queued.task = std::move(task);
}

std::unique_ptr<PoolTask> OperationPool::NextLocked() {
  for (auto* queue : {&metadata_, &data_}) {
    if (queue->empty() || !MayRunLocked(queue->front().task->kind())) {
      continue;
    }
    auto task = std::move(queue->front().task);
    queue->pop_front();
    if (task->kind() == TaskKind::kData) {
      ++data_running_;
    }
    return task;
  }
  return nullptr;
}

// Null when the worker's thread shall end.
std::unique_ptr<PoolTask> OperationPool::WaitForTask(Worker& self) {
  const MutexLock lock(mutex_);
  if (auto task = NextLocked()) {
    return task;
  }
  const TimePoint give_up = Clock::now() + options_.idle_timeout;
  idle_.push_back(&self);
  while (self.next == nullptr && !stopping_ && Clock::now() < give_up) {
    self.wake.WaitUntil(mutex_, give_up);
  }
  if (self.next != nullptr) {
    return std::move(self.next);
  }
  std::erase(idle_, &self);
  if (!stopping_) {  // else Stop() joins
    const auto here =
        std::find_if(workers_.begin(), workers_.end(), [&self](const auto& worker) { return worker.get() == &self; });
    finished_.splice(finished_.end(), workers_, here);
    alarm_.Ring();
  }
  return nullptr;
}

void OperationPool::Work(Worker& self) {
  SetThreadName("fuse-op");
  std::unique_ptr<PoolTask> task;
  {
    const MutexLock lock(mutex_);
    task = std::move(self.next);
  }
  while (task != nullptr) {
    const TaskKind kind = task->kind();
    task->Run();
    task.reset();
    if (kind == TaskKind::kData) {
      const MutexLock lock(mutex_);
      --data_running_;
    }
    task = WaitForTask(self);
  }
}

void OperationPool::Reap(const std::stop_token& stop) {
  SetThreadName("fuse-reaper");
  while (!stop.stop_requested()) {
    alarm_.Wait(stop);
    RefuseEnded();
    AskImpatient();
    JoinFinished();
  }
}

void OperationPool::RefuseEnded() {
  std::vector<std::pair<std::unique_ptr<PoolTask>, Error>> ended;
  TimePoint next = TimePoint::max();
  {
    const MutexLock lock(mutex_);
    for (auto* queue : {&metadata_, &data_}) {
      for (auto queued = queue->begin(); queued != queue->end();) {
        const OpContext& context = queued->task->context();
        Status status = context.Check();
        if (status.ok()) {
          next = std::min(next, context.deadline);
          ++queued;
        } else {
          ended.emplace_back(std::move(queued->task), std::move(status).error());
          queued = queue->erase(queued);
        }
      }
    }
  }
  alarm_.RingAt(next);
  for (auto& [task, why] : ended) {
    task->Refuse(why);
  }
}

void OperationPool::AskImpatient() {
  std::vector<std::unique_ptr<PoolTask>> impatient;
  TimePoint next = TimePoint::max();
  {
    const TimePoint now = Clock::now();
    const MutexLock lock(mutex_);
    for (auto* queue : {&metadata_, &data_}) {
      for (auto queued = queue->begin(); queued != queue->end();) {
        if (queued->task->impatient_at() > now) {
          next = std::min(next, queued->task->impatient_at());
          ++queued;
        } else {
          impatient.push_back(std::move(queued->task));
          queue->erase(queued++);
        }
      }
    }
  }
  alarm_.RingAt(next);
  for (auto& task : impatient) {
    if (!task->AnswerFromMemory()) {
      Submit(std::move(task));
    }
  }
}

void OperationPool::JoinFinished() {
  WorkerList finished;
  const MutexLock lock(mutex_);
  finished.swap(finished_);
  // `finished` is destroyed, and with it the threads joined, after the lock is released: it was declared before.
}

void OperationPool::Stop() {
  Queue refused;
  WorkerList workers;
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    for (auto* queue : {&metadata_, &data_}) {
      refused.splice(refused.end(), *queue);
    }
    workers.splice(workers.end(), workers_);
    workers.splice(workers.end(), finished_);
    for (Worker* worker : idle_) {
      worker->wake.NotifyOne();
    }
  }
  for (Queued& queued : refused) {
    queued.on_cancel.reset();
    queued.task->Refuse(Error{Code::kInterrupted, "the mount is ending", "pool.stopping", Fate::kNotSent});
  }
  workers.clear();  // joins
  reaper_.request_stop();
  if (reaper_.joinable()) {
    reaper_.join();
  }
}

std::size_t OperationPool::thread_count() const {
  const MutexLock lock(mutex_);
  return workers_.size();
}

std::size_t OperationPool::queued_count() const {
  const MutexLock lock(mutex_);
  return metadata_.size() + data_.size();
}

void OperationPool::Alarm::Ring() {
  const MutexLock lock(mutex_);
  rung_ = true;
  changed_.NotifyOne();
}

void OperationPool::Alarm::RingAt(TimePoint when) {
  const MutexLock lock(mutex_);
  if (when < next_) {
    next_ = when;
    changed_.NotifyOne();
  }
}

void OperationPool::Alarm::Wait(const std::stop_token& stop) {
  const MutexLock lock(mutex_);
  while (!rung_ && !stop.stop_requested() && Clock::now() < next_) {
    changed_.Wait(mutex_, OpContext{next_, stop});
  }
  rung_ = false;
  next_ = TimePoint::max();
}

}  // namespace bt::fuse
