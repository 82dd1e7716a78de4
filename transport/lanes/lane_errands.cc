// LanePool: what is done beside the reads and writes, by a few threads: opening handles on lanes and proving them.

#include <utility>

#include "transport/base/thread_name.h"
#include "transport/lanes/lane_pool.h"

namespace bt::lanes {
namespace {

constexpr std::chrono::milliseconds kErrandTimeout{10'000};
constexpr std::size_t kMostErrandThreads = 8;

}  // namespace

void LanePool::Run(std::function<void(const OpContext&)> errand) {
  MutexLock lock(mutex_);
  if (stopped_) {
    return;
  }
  errands_.push_back(std::move(errand));
  if (idle_errand_threads_ < errands_.size() && errand_threads_.size() < kMostErrandThreads) {
    errand_threads_.emplace_back([this] {
      SetThreadName("bt-lane-errand");
      RunErrands();
    });
  }
  changed_.NotifyAll();
}

void LanePool::RunErrands() {
  const OpContext until_stopped{TimePoint::max(), stop_.get_token()};
  for (;;) {
    std::function<void(const OpContext&)> errand;
    {
      MutexLock lock(mutex_);
      ++idle_errand_threads_;
      while (errands_.empty() && !stop_.stop_requested()) {
        changed_.Wait(mutex_, until_stopped);
      }
      --idle_errand_threads_;
      if (stop_.stop_requested()) {
        return;
      }
      errand = std::move(errands_.front());
      errands_.pop_front();
    }
    errand(OpContext::WithTimeout(kErrandTimeout, stop_.get_token()));
    errand = nullptr;  // what it holds goes before others are told
    NotifyChange();
  }
}

}  // namespace bt::lanes
