// LanePool: what is done beside the reads and writes, by a few threads: opening handles on lanes and proving them, and
// the channel beside the interactive one.

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "transport/base/thread_name.h"
#include "transport/lanes/lane_pool.h"

namespace bt::lanes {
namespace {

constexpr std::chrono::milliseconds kErrandTimeout{10'000};
constexpr std::size_t kMostErrandThreads = 16;
constexpr int kRoundTripsToIdentify = 2;

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

void LanePool::Widen() {
  {
    MutexLock lock(mutex_);
    if (widened_ || stopped_ || !lanes_.empty() || bulk_in_a_row_ < options_.worth_a_lane) {
      return;
    }
    widened_ = true;
  }
  Run([this](const OpContext& ctx) {
    auto server = interactive_->OpenChannel(ctx);
    if (!server) {
      spdlog::debug("lanes: no second channel on the first connection: {}", server.error().text);
      return;
    }
    MutexLock lock(mutex_);
    if (stopped_) {
      return;
    }
    beside_ = std::make_shared<BulkChannel>(std::move(server).value(), next_channel_++, false);
    channels_.push_back(beside_);
    const auto channel = beside_;
    lock.Unlock();
    Identify(channel);
  });
}

// The server's clock, so that it is known which files are at rest when the lanes are there, and not four round trips
// later. And how far the server is, whatever it answers.
void LanePool::GetToKnow(TimePoint now) {
  Run([this, now](const OpContext& ctx) {
    clock_.Ask(ctx, interactive_->fs());
    NoteRoundTrip(Clock::now() - now);
  });
}

void LanePool::NoteRoundTrip(Duration took) {
  MutexLock lock(mutex_);
  round_trip_ = std::min(round_trip_, took);
  changed_.NotifyAll();  // more lanes may be wanted
}

void LanePool::Identify(const std::shared_ptr<BulkChannel>& channel) {
  // An errand must not hold the last reference to a channel of an ended lane.
  Run([this, weak = std::weak_ptr(channel)](const OpContext& ctx) {
    const auto alive = weak.lock();
    if (const auto use = alive != nullptr ? alive->Begin(0) : std::nullopt) {
      const TimePoint asked_at = Clock::now();
      auto process = FindServerProcess(ctx, use->fs(), &clock_);
      if (process) {
        NoteRoundTrip((Clock::now() - asked_at) / kRoundTripsToIdentify);
      }
      alive->Identify(process ? std::optional(std::move(process).value()) : std::nullopt);
    }
  });
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
