#include "transport/lanes/stripe.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace bt::lanes {
namespace {

constexpr std::chrono::seconds kLater{2};
// A file that could not be proved this often is left alone.
constexpr unsigned kMostDisappointments = 8;

bool IsLinkError(const Error& error) { return error.code == Code::kDisconnected || error.code == Code::kProtocol; }

}  // namespace

Stripe::Stripe(RemotePath path, const OpenFlags& flags, Proof proof)
    : path_(std::move(path)), flags_(flags), proof_(std::move(proof)) {}

Stripe::~Stripe() = default;

std::optional<Stripe::Way> Stripe::Choose(const std::vector<std::shared_ptr<BulkChannel>>& channels, std::size_t bytes,
                                          std::uint64_t full) {
  // Under the lock from the look to the choice, so that threads that come together do not all choose the same.
  MutexLock lock(mutex_);
  if (given_up_) {
    return std::nullopt;
  }
  const std::shared_ptr<BulkChannel>* best = nullptr;
  std::uint64_t least = full;
  for (const auto& channel : channels) {
    const std::uint64_t under_way = channel->under_way();
    if (under_way < least && ReadyLocked(*channel) && (!flags_.write || under_way < channel->allowance())) {
      best = &channel;
      least = under_way;
    }
  }
  if (best == nullptr) {
    return std::nullopt;
  }
  auto use = (*best)->Begin(bytes);
  auto file = (*best)->handle(this);
  if (!use || file == nullptr) {  // the channel was closed just now
    return std::nullopt;
  }
  return Way{*std::move(use), std::move(file)};
}

bool Stripe::ready(const std::vector<std::shared_ptr<BulkChannel>>& channels) const {
  MutexLock lock(mutex_);
  return !given_up_ &&
         std::any_of(channels.begin(), channels.end(), [this](const auto& channel) { return ReadyLocked(*channel); });
}

bool Stripe::ReadyLocked(const BulkChannel& channel) const {
  const auto place = places_.find(channel.number());
  return place != places_.end() && place->second.state == State::kReady;
}

void Stripe::Spread(LanePool& pool, const std::vector<std::shared_ptr<BulkChannel>>& channels, std::size_t count) {
  const TimePoint now = Clock::now();
  std::vector<std::shared_ptr<BulkChannel>> chosen;
  {
    MutexLock lock(mutex_);
    std::erase_if(places_, [&channels](const auto& entry) {
      return entry.second.state != State::kOpening &&
             std::none_of(channels.begin(), channels.end(),
                          [&entry](const auto& channel) { return channel->number() == entry.first; });
    });
    if (given_up_ || closed_ || name_changed_) {
      return;
    }
    std::size_t have = 0;
    std::vector<std::shared_ptr<BulkChannel>> free;
    for (const auto& channel : channels) {
      const auto place = places_.find(channel->number());
      if (place == places_.end()) {
        free.push_back(channel);
      } else if (place->second.state == State::kLater && place->second.not_before <= now) {
        free.push_back(channel);
      } else {
        have += place->second.state == State::kReady || place->second.state == State::kOpening ? 1 : 0;
      }
    }
    std::sort(free.begin(), free.end(),
              [](const auto& one, const auto& other) { return one->under_way() < other->under_way(); });
    for (std::size_t i = 0; i < free.size() && have + i < count; ++i) {
      places_[free[i]->number()] = Place{State::kOpening, {}};
      chosen.push_back(free[i]);
    }
  }
  for (const auto& channel : chosen) {
    // An errand must not hold the last reference to a channel of an ended lane for long, so it asks for it when it
    // runs.
    pool.Run(
        [self = shared_from_this(), weak = std::weak_ptr(channel), number = channel->number()](const OpContext& ctx) {
          if (const auto alive = weak.lock()) {
            if (const auto use = alive->Begin(0)) {
              self->Open(ctx, *use);
              return;
            }
          }
          MutexLock lock(self->mutex_);
          self->places_.erase(number);
        });
  }
}

bool Stripe::opening() const {
  MutexLock lock(mutex_);
  return std::any_of(places_.begin(), places_.end(),
                     [](const auto& entry) { return entry.second.state == State::kOpening; });
}

void Stripe::Distrust(const BulkChannel& channel) {
  MutexLock lock(mutex_);
  places_[channel.number()].state = State::kUnusable;
}

void Stripe::NameChanged() {
  MutexLock lock(mutex_);
  name_changed_ = true;
}

void Stripe::GiveUp() {
  MutexLock lock(mutex_);
  given_up_ = true;
}

bool Stripe::given_up() const {
  MutexLock lock(mutex_);
  return given_up_;
}

void Stripe::Close(const std::vector<std::shared_ptr<BulkChannel>>& channels) {
  {
    MutexLock lock(mutex_);
    closed_ = true;
    given_up_ = true;
  }
  for (const auto& channel : channels) {
    channel->LetGo(this);
  }
}

void Stripe::Open(const OpContext& ctx, const BulkChannel::Use& use) {
  BulkChannel& channel = use.channel();
  std::shared_ptr<RemoteFile> handle;  // let go without the lock
  const Result<Sameness> proved = OpenAndProve(ctx, use, handle);
  const bool same = proved.ok() && *proved == Sameness::kSame && channel.Keep(this, handle);
  MutexLock lock(mutex_);
  if (same && (closed_ || name_changed_)) {
    places_[channel.number()].state = State::kUnusable;
    lock.Unlock();
    channel.LetGo(this);
    return;
  }
  if (same) {
    places_[channel.number()].state = State::kReady;
    lock.Unlock();
    return;
  }
  const bool lost = !proved.ok() && (IsLinkError(proved.error()) || proved.error().code == Code::kInterrupted);
  if (lost) {
    places_.erase(channel.number());
    return;
  }
  places_[channel.number()] = proved.ok() && *proved == Sameness::kNotYet ? Place{State::kLater, Clock::now() + kLater}
                                                                          : Place{State::kUnusable, {}};
  if (++disappointments_ >= kMostDisappointments) {
    given_up_ = true;
  }
  spdlog::debug("lanes: {} stays on one connection for now: {}", path_.text(),
                proved.ok() ? "it could not be told that it is the same file" : proved.error().text);
}

Result<Sameness> Stripe::OpenAndProve(const OpContext& ctx, const BulkChannel::Use& use,
                                      std::shared_ptr<RemoteFile>& handle) {
  {
    MutexLock lock(mutex_);
    if (closed_ || name_changed_) {
      return Error{Code::kInterrupted, "the file was closed or its name changed", "lanes.closed", Fate::kNotSent};
    }
  }
  return proof_(ctx, [&]() -> Result<RemoteFile*> {
    auto opened = TRY(use.fs().Open(ctx, path_, flags_, 0));
    handle = std::move(opened.file);
    return handle.get();
  });
}

}  // namespace bt::lanes
