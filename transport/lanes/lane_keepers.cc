// LanePool: what the thread of each lane does. It dials when the lane is wanted, opens its channels, and looks after it
// until it is idle or dead.

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "transport/base/free_memory.h"
#include "transport/base/units.h"
#include "transport/lanes/lane_pool.h"

namespace bt::lanes {
namespace {

// How often a lane looks whether it is dead or idle. Whoever uses it notices its end at once.
constexpr std::chrono::milliseconds kLook{500};
// A lane that lived for this long was no mistake of the moment: dialling it again needs no patience.
constexpr std::chrono::seconds kProven{10};

}  // namespace

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
  while (!stop.stop_requested() && !(why = Ended(lane)) && !CloseIfIdle(lane)) {
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
