#include "transport/link_state.h"

#include <algorithm>

namespace bt {

using Phase = LinkState::Phase;
using Action = LinkState::Action;

void LinkState::Enter(Phase phase, TimePoint now) {
  phase_ = phase;
  since_ = now;
}

void LinkState::StartConnected(TimePoint now) {
  last_dial_ = now;
  OnDialed(now);
}

Action LinkState::Dial(TimePoint now) {
  last_dial_ = now;
  Enter(Phase::kDialing, now);
  return Action::kDial;
}

Action LinkState::BackOff(TimePoint now) {
  dial_at_ = now + backoff_.Next();
  Enter(Phase::kBackingOff, now);
  return Action::kNone;
}

Action LinkState::OnDialed(TimePoint now) {
  if (phase_ == Phase::kStopped) {
    return Action::kDrop;
  }
  not_before_ = {};
  connected_at_ = last_received_ = now;
  Enter(Phase::kUp, now);
  return Action::kNone;
}

Action LinkState::OnDialFailed(DialFailure failure, std::optional<Duration> retry_after, TimePoint now) {
  if (phase_ != Phase::kDialing) {
    return Action::kNone;
  }
  if (failure == DialFailure::kRefused) {
    dial_at_ = now + timing_.refused_retry;
    Enter(Phase::kRefused, now);
    return Action::kNone;
  }
  BackOff(now);
  if (retry_after) {
    not_before_ = now + *retry_after;
    dial_at_ = std::max(dial_at_, not_before_);
  }
  return Action::kNone;
}

Action LinkState::OnLost(TimePoint now) {
  if (phase_ != Phase::kUp && phase_ != Phase::kSuspect) {
    return Action::kNone;
  }
  // A connection that lived proves the way is open: dial at once, and start the backoff anew. One that died young may
  // be a server that accepts and hangs up; that must not become a tight loop.
  if (now - since_ >= timing_.demand_gap || phase_ == Phase::kSuspect) {
    backoff_.Reset();
  }
  return BackOff(now);
}

void LinkState::OnReceived(TimePoint at) {
  if (phase_ != Phase::kUp && phase_ != Phase::kSuspect) {
    return;
  }
  last_received_ = std::max(last_received_, at);
  if (phase_ == Phase::kSuspect && at > since_) {
    Enter(Phase::kUp, connected_at_);
  }
}

Action LinkState::OnResumed(TimePoint now) {
  switch (phase_) {
    case Phase::kUp:
    case Phase::kSuspect:
      backoff_.Reset();
      BackOff(now);
      return Action::kDrop;
    case Phase::kBackingOff:
    case Phase::kRefused:
      backoff_.Reset();
      return Dial(now);
    case Phase::kDialing:
    case Phase::kStopped:
      return Action::kNone;
  }
  return Action::kNone;
}

Action LinkState::OnDemand(TimePoint now) {
  if (phase_ != Phase::kBackingOff) {
    return Action::kNone;
  }
  dial_at_ = std::min(dial_at_, std::max({now, last_dial_ + timing_.demand_gap, not_before_}));
  return OnTick(now);
}

Action LinkState::OnTick(TimePoint now) {
  switch (phase_) {
    case Phase::kUp:
      if (now - last_received_ >= timing_.ping_after) {
        Enter(Phase::kSuspect, now);
        return Action::kPing;
      }
      return Action::kNone;
    case Phase::kSuspect:
      if (now - last_received_ >= timing_.dead_after) {
        backoff_.Reset();
        BackOff(now);
        return Action::kDrop;
      }
      return Action::kNone;
    case Phase::kBackingOff:
    case Phase::kRefused:
      return now >= dial_at_ ? Dial(now) : Action::kNone;
    case Phase::kDialing:
    case Phase::kStopped:
      return Action::kNone;
  }
  return Action::kNone;
}

Action LinkState::OnStop(TimePoint now) {
  const bool connected = phase_ == Phase::kUp || phase_ == Phase::kSuspect;
  Enter(Phase::kStopped, now);
  return connected ? Action::kDrop : Action::kNone;
}

TimePoint LinkState::next_wakeup() const {
  switch (phase_) {
    case Phase::kUp:
      return last_received_ + timing_.ping_after;
    case Phase::kSuspect:
      return last_received_ + timing_.dead_after;
    case Phase::kBackingOff:
    case Phase::kRefused:
      return dial_at_;
    case Phase::kDialing:
    case Phase::kStopped:
      return TimePoint::max();
  }
  return TimePoint::max();
}

std::string_view PhaseName(LinkState::Phase phase) {
  switch (phase) {
    case Phase::kDialing:
      return "dialing";
    case Phase::kUp:
      return "up";
    case Phase::kSuspect:
      return "suspect";
    case Phase::kBackingOff:
      return "backing off";
    case Phase::kRefused:
      return "refused";
    case Phase::kStopped:
      return "stopped";
  }
  return "unknown";
}

}  // namespace bt
