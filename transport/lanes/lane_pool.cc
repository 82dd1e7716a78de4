#include "transport/lanes/lane_pool.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "transport/base/free_memory.h"
#include "transport/base/thread_name.h"
#include "transport/base/units.h"

namespace bt::lanes {
namespace {

// How often a lane looks whether it is dead or idle. Whoever uses it notices its end at once.
constexpr std::chrono::milliseconds kLook{500};
// A lane that lived for this long was no mistake of the moment: dialling it again needs no patience.
constexpr std::chrono::seconds kProven{10};
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

void LanePool::Keep(const std::stop_token& stop, unsigned index) {
  const OpContext until_stopped{TimePoint::max(), stop};
  while (AwaitWanted(until_stopped, index)) {
    std::shared_ptr<LaneConnection> connection = Dial(stop);
    if (connection == nullptr) {
      continue;
    }
    Carry(stop, OpenChannels(OpContext::WithTimeout(options_.dial_timeout, stop), std::move(connection)));
    GiveBackToSystem();  // its buffers
  }
}

bool LanePool::AwaitWanted(const OpContext& ctx, unsigned index) {
  MutexLock lock(mutex_);
  for (;;) {
    if (stopped_ || !ctx.Check()) {
      return false;
    }
    const TimePoint now = Clock::now();
    const bool wanted = WantedLocked(now) > index;
    if (wanted && now >= no_dial_before_) {
      return true;
    }
    changed_.Wait(mutex_, wanted ? OpContext{no_dial_before_, ctx.cancel} : ctx);
  }
}

std::shared_ptr<LaneConnection> LanePool::Dial(const std::stop_token& stop) {
  auto dialed = dialer_.DialLane(OpContext::WithTimeout(options_.dial_timeout, stop));
  if (!dialed) {
    if (!stop.stop_requested()) {
      Refused(dialed.error());
    }
    return nullptr;
  }
  if ((*dialed)->host_key() != interactive_->host_key()) {
    const Error other{Code::kRefused,
                      fmt::format("another container answered (its SSH host key is {} and not {})",
                                  (*dialed)->host_key(), interactive_->host_key()),
                      "lanes.host-key", Fate::kNotSent};
    (*dialed)->Abort(other);
    Refused(other);
    return nullptr;
  }
  return std::move(dialed).value();
}

// Lanes that dial at the same time are refused at the same time: that is one refusal.
void LanePool::Refused(const Error& why) {
  const std::optional<Duration> asked = dialer_.retry_after();
  const TimePoint now = Clock::now();
  MutexLock lock(mutex_);
  if (now < no_dial_before_) {
    return;
  }
  std::chrono::milliseconds patience = next_retry_;
  if (asked) {
    patience = std::max(patience, std::min(std::chrono::ceil<std::chrono::milliseconds>(*asked), options_.last_retry));
  }
  no_dial_before_ = now + patience;
  next_retry_ = std::min(2 * next_retry_, options_.last_retry);
  ++changes_;
  changed_.NotifyAll();
  spdlog::info("lanes: no further connection for bulk data ({}); going on with {}, trying again in {}", why.text,
               1 + lanes_.size(), FormatDuration(patience));
}

// The lane is at work from its first channel on.
LanePool::Lane LanePool::OpenChannels(const OpContext& ctx, std::shared_ptr<LaneConnection> connection) {
  std::shared_ptr<RemoteFs> server(connection, &connection->fs());
  Lane lane{std::move(connection), {}};
  for (;;) {
    {
      MutexLock lock(mutex_);
      lane.channels.push_back(std::make_shared<BulkChannel>(server, next_channel_++, lane.channels.empty()));
    }
    Publish(lane);
    Identify(lane.channels.back());
    if (lane.channels.size() >= options_.channels_per_lane) {
      return lane;
    }
    auto another = lane.connection->OpenChannel(ctx);
    if (!another) {
      spdlog::debug("lanes: one connection carries {} channels: {}", lane.channels.size(), another.error().text);
      return lane;
    }
    server = std::move(another).value();
  }
}

void LanePool::Publish(const Lane& lane) {
  MutexLock lock(mutex_);
  std::erase_if(channels_, [](const auto& known) { return known->closed() && !known->may_still_write(); });
  channels_.push_back(lane.channels.back());
  const auto published = std::find_if(lanes_.begin(), lanes_.end(),
                                      [&lane](const Lane& other) { return other.connection == lane.connection; });
  if (published != lanes_.end()) {
    published->channels = lane.channels;
  } else if (!stopped_) {
    lanes_.push_back(lane);
    spdlog::debug("lanes: {} open for bulk data", lanes_.size());
  }
  ++changes_;
  changed_.NotifyAll();
  std::erase_if(watchers_, [](const auto& watcher) { return watcher.expired(); });
  const std::vector<std::weak_ptr<const LaneWatcher>> watchers = watchers_;
  lock.Unlock();
  for (const auto& weak : watchers) {
    Run([weak](const OpContext& /*ctx*/) {
      if (const auto watcher = weak.lock()) {
        (*watcher)();
      }
    });
  }
}

void LanePool::Watch(const std::shared_ptr<const LaneWatcher>& watcher) {
  MutexLock lock(mutex_);
  watchers_.push_back(watcher);
}

std::optional<Error> LanePool::Ended(const Lane& lane) const {
  if (auto ended = lane.connection->ended()) {
    return ended;
  }
  const TimePoint long_ago = Clock::now() - options_.silence;
  for (const auto& channel : lane.channels) {
    const std::optional<TimePoint> busy_since = channel->busy_since();
    if (busy_since && *busy_since < long_ago && lane.connection->last_received() < long_ago) {
      return Error{Code::kDisconnected, "a connection has been silent for too long", "lanes.silent", Fate::kUnknown};
    }
  }
  return std::nullopt;
}

bool LanePool::CloseIfIdle(const Lane& lane) const {
  const TimePoint since = Clock::now() - options_.idle;
  TimePoint last_used = TimePoint::min();
  for (const auto& channel : lane.channels) {
    last_used = std::max(last_used, channel->last_used());
  }
  if (last_used >= since) {
    return false;
  }
  bool all_closed = true;  // one that was used just now keeps the lane open until the next look
  for (const auto& channel : lane.channels) {
    all_closed = channel->CloseUnlessUsedSince(since) && all_closed;
  }
  return all_closed;
}

void LanePool::Carry(const std::stop_token& stop, const Lane& lane) {
  const TimePoint began = Clock::now();
  const OpContext until_stopped{TimePoint::max(), stop};
  std::optional<Error> why;
  bool idle = false;
  while (!stop.stop_requested() && !(why = Ended(lane)) && !(idle = CloseIfIdle(lane))) {
    MutexLock lock(mutex_);
    changed_.Wait(mutex_, OpContext{Clock::now() + kLook, stop});
  }
  const Error reason = why ? *why : Error{Code::kDisconnected, "no longer needed", "lanes.idle", Fate::kUnknown};
  {
    MutexLock lock(mutex_);
    std::erase_if(lanes_, [&lane](const Lane& other) { return other.connection == lane.connection; });
    ++changes_;
    changed_.NotifyAll();
    if (Clock::now() - began > kProven) {
      next_retry_ = options_.first_retry;
      next_redial_ = options_.first_redial;
    }
    if (why && !stopped_) {
      no_dial_before_ = std::max<TimePoint>(no_dial_before_, Clock::now() + next_redial_);
      next_redial_ = std::min(2 * next_redial_, options_.last_retry);
      spdlog::info("lanes: a connection for bulk data ended ({}), {} left", reason.text, 1 + lanes_.size());
    }
  }
  for (const auto& channel : lane.channels) {
    channel->Close();
  }
  lane.connection->Abort(reason);
}

}  // namespace bt::lanes
