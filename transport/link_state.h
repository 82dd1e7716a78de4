// The connection to the server as a pure state machine: it is told what happened and when, says what to do, and asks
// for its next wake-up. transport/RECONNECT.md has the table; the link keeper drives it.
//
// Threading: one thread at a time. Neither sleeps nor reads a clock nor does I/O.
#pragma once

#include <optional>
#include <string_view>

#include "transport/backoff.h"
#include "transport/base/op_context.h"

namespace bt {

class LinkState {
 public:
  enum class Phase {
    kDialing,     // a dial is under way
    kUp,          // connected and heard from lately
    kSuspect,     // connected, silent, a ping is on its way
    kBackingOff,  // not connected; dials again at next_wakeup()
    kRefused,     // not connected because the service said no (credentials, job over): dials rarely
    kStopped,     // the end
  };

  // What the driver must do now.
  enum class Action {
    kNone,
    kDial,  // begin a dial; exactly one is under way in kDialing
    kPing,  // send a ping on the connection
    kDrop,  // end the connection; it was already counted as lost
  };

  enum class DialFailure {
    kTransient,  // unreachable, timeout, 5xx, 429
    kRefused,    // the answer will be the same next time, unless the user or the job changes
  };

  struct Timing {
    Duration ping_after = std::chrono::seconds(5);   // silence before a ping
    Duration dead_after = std::chrono::seconds(15);  // silence before the connection is given up
    Duration refused_retry = std::chrono::seconds(30);
    Duration demand_gap = std::chrono::seconds(1);  // a waiting request cuts the backoff, at most this often
  };

  LinkState(Timing timing, Backoff backoff) : timing_(timing), backoff_(std::move(backoff)) {}

  // Starts with a connection that was just made.
  void StartConnected(TimePoint now);

  Action OnDialed(TimePoint now);
  Action OnDialFailed(DialFailure failure, std::optional<Duration> retry_after, TimePoint now);
  // The connection ended by itself (reset, end of stream, protocol error).
  Action OnLost(TimePoint now);
  // Bytes came in at `at`; any byte proves life.
  void OnReceived(TimePoint at);
  // The machine slept: nothing that was connected before can be trusted.
  Action OnResumed(TimePoint now);
  // A user's request waits for the link.
  Action OnDemand(TimePoint now);
  // next_wakeup() has come.
  Action OnTick(TimePoint now);
  Action OnStop(TimePoint now);

  Phase phase() const { return phase_; }
  TimePoint since() const { return since_; }  // when it began; kUp: when it was connected, however often suspected
  // When OnTick wants to be called; TimePoint::max() for never.
  TimePoint next_wakeup() const;

 private:
  void Enter(Phase phase, TimePoint now);
  Action Dial(TimePoint now);
  Action BackOff(TimePoint now);

  const Timing timing_;
  Backoff backoff_;
  Phase phase_ = Phase::kDialing;
  TimePoint since_{};
  TimePoint connected_at_{};
  TimePoint last_received_{};
  TimePoint dial_at_{};
  TimePoint last_dial_{};
  TimePoint not_before_{};  // the service asked for this much patience (Retry-After)
};

std::string_view PhaseName(LinkState::Phase phase);

}  // namespace bt
