#include "transport/lanes/lane_pool.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "transport/base/thread_name.h"
#include "transport/base/units.h"

namespace bt::lanes {
namespace {

constexpr std::uint64_t kUsualWindow = 4_MiB;
constexpr std::uint64_t kUsualLink = 125;  // bytes per microsecond: 1 Gbit/s

}  // namespace

LanePool::LanePool(std::shared_ptr<LaneConnection> interactive, LaneDialer& dialer, const LaneOptions& options)
    : interactive_(std::move(interactive)),
      dialer_(dialer),
      options_(options),
      next_retry_(options.first_retry),
      next_redial_(options.first_redial) {}

LanePool::~LanePool() {
  Stop(Error{Code::kDisconnected, "the session ended", "lanes.ended", Fate::kUnknown});
  std::vector<std::jthread> ending;  // joined without the lock
  MutexLock lock(mutex_);
  ending.swap(keepers_);
  std::move(errand_threads_.begin(), errand_threads_.end(), std::back_inserter(ending));
  errand_threads_.clear();
  lock.Unlock();
  ending.clear();
}

unsigned LanePool::WantedLocked(TimePoint now) const {
  if (now - last_bulk_ > options_.pause) {
    return 0;
  }
  const std::uint64_t worth = std::max<std::uint64_t>(options_.worth_a_lane, 1);
  if (bulk_in_a_row_ < worth) {
    return 0;
  }
  // Who has moved twice of what one lane is worth goes on, most likely: the others dial at the same time, because a
  // handshake takes a dozen round trips.
  const unsigned most = bulk_in_a_row_ < 2 * worth ? 1U : options_.connections;
  const Duration distance = std::min(round_trip_, now - asked_at_);
  return distance < options_.near ? std::min(most, std::max(1U, std::thread::hardware_concurrency())) : most;
}

void LanePool::NoteBulk(std::size_t bytes) {
  const TimePoint now = Clock::now();
  MutexLock lock(mutex_);
  if (stopped_) {
    return;
  }
  const unsigned before = WantedLocked(now);
  bulk_in_a_row_ = now - last_bulk_ > options_.pause ? bytes : bulk_in_a_row_ + bytes;
  last_bulk_ = now;
  const unsigned wanted = WantedLocked(now);
  const bool first = keepers_.empty() && wanted > 0;
  if (first) {
    asked_at_ = now;
  }
  while (keepers_.size() < wanted) {
    keepers_.emplace_back([this, stop = stop_.get_token(), index = static_cast<unsigned>(keepers_.size())] {
      SetThreadName("bt-lane");
      Keep(stop, index);
    });
  }
  if (wanted != before) {
    changed_.NotifyAll();
  }
  lock.Unlock();
  if (first) {
    GetToKnow(now);
  }
}

std::vector<std::shared_ptr<BulkChannel>> LanePool::Channels(For what) const {
  std::vector<std::shared_ptr<BulkChannel>> open;
  MutexLock lock(mutex_);
  for (const Lane& lane : lanes_) {
    for (const auto& channel : lane.channels) {
      const bool suits = what == For::kHandles || (what == For::kReading && channel->first()) ||
                         (what == For::kWriting && channel->identified());
      if (suits && !channel->closed()) {
        open.push_back(channel);
      }
    }
  }
  if (beside_ != nullptr && !beside_->closed() &&
      (what == For::kHandles || (what == For::kWritingBeside && beside_->identified()))) {
    open.push_back(beside_);
  }
  return open;
}

unsigned LanePool::lanes() const {
  MutexLock lock(mutex_);
  return static_cast<unsigned>(lanes_.size());
}

bool LanePool::opening() const {
  const TimePoint now = Clock::now();
  MutexLock lock(mutex_);
  return !stopped_ && lanes_.empty() && WantedLocked(now) > 0 && now >= no_dial_before_;
}

bool LanePool::window_bound() const {
  MutexLock lock(mutex_);
  const auto to_fill_link = std::chrono::microseconds(lanes_.size() * kUsualWindow / kUsualLink);
  return round_trip_ != Duration::max() && round_trip_ > to_fill_link;
}

std::vector<std::optional<ServerProcess>> LanePool::unsettled_servers() const {
  std::vector<std::optional<ServerProcess>> servers;
  MutexLock lock(mutex_);
  for (const auto& channel : channels_) {
    if (channel->may_still_write()) {
      servers.push_back(channel->server());
    }
  }
  return servers;
}

void LanePool::Lost(BulkChannel& channel, const Error& why) {
  std::shared_ptr<LaneConnection> lost;
  MutexLock lock(mutex_);
  for (const Lane& lane : lanes_) {
    for (const auto& other : lane.channels) {
      if (other.get() == &channel) {
        lost = lane.connection;
      }
    }
  }
  lock.Unlock();
  channel.Close();
  if (lost != nullptr) {
    lost->Abort(why);
    NotifyChange();  // its keeper looks
  }
}

void LanePool::EndSession(const Error& why) {
  spdlog::debug("lanes: a write was lost with its lane, so all connections end: {}", why.text);
  interactive_->Abort(why);
}

void LanePool::Stop(const Error& why) {
  std::vector<Lane> ending;
  {
    MutexLock lock(mutex_);
    stopped_ = true;
    ending = lanes_;
    errands_.clear();
  }
  stop_.request_stop();
  for (const auto& channel : Channels(For::kHandles)) {
    channel->Close();
  }
  for (const Lane& lane : ending) {
    lane.connection->Abort(why);
  }
  NotifyChange();
}

LanePool::InteractiveShare::~InteractiveShare() {
  if (pool_ != nullptr) {
    MutexLock lock(pool_->mutex_);
    pool_->interactive_bulk_ -= bytes_;
    ++pool_->changes_;
    pool_->changed_.NotifyAll();
  }
}

LanePool::InteractiveShare LanePool::TakeShare(std::size_t bytes) {
  MutexLock lock(mutex_);
  interactive_bulk_ += bytes;
  return InteractiveShare(*this, bytes);
}

std::optional<LanePool::InteractiveShare> LanePool::TryTakeShare(std::size_t bytes, std::uint64_t limit) {
  MutexLock lock(mutex_);
  if (interactive_bulk_ > 0 && interactive_bulk_ + bytes > limit) {
    return std::nullopt;
  }
  interactive_bulk_ += bytes;
  return std::optional<InteractiveShare>(std::in_place, *this, bytes);
}

std::uint64_t LanePool::changes() const {
  MutexLock lock(mutex_);
  return changes_;
}

Status LanePool::AwaitChange(const OpContext& ctx, std::uint64_t seen) const {
  MutexLock lock(mutex_);
  while (changes_ == seen) {
    TRY(ctx.Check(Fate::kNotSent));
    changed_.Wait(mutex_, ctx);
  }
  return {};
}

void LanePool::NotifyChange() {
  MutexLock lock(mutex_);
  ++changes_;
  changed_.NotifyAll();
}

void LanePool::Watch(const std::shared_ptr<const LaneWatcher>& watcher) {
  MutexLock lock(mutex_);
  watchers_.push_back(watcher);
}

}  // namespace bt::lanes
