// The deadline and the cancel token of one operation; the first parameter of everything that may wait.
//
// A wait ends at the first of: its result, `deadline`, `cancel`. The two ends that are not results are the errors of
// Check(): kTimedOut and kInterrupted. `deadline` is a point on the monotonic clock; TimePoint::max() waits for ever
// (and can still be cancelled).
//
// Threading: a value; std::stop_token may be shared by any number of threads.
#pragma once

#include <chrono>
#include <stop_token>

#include "transport/base/result.h"

namespace bt {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
using Duration = Clock::duration;

struct OpContext {
  TimePoint deadline = TimePoint::max();
  std::stop_token cancel;

  static OpContext WithTimeout(Duration timeout, std::stop_token cancel = {});

  // kInterrupted when cancelled, kTimedOut when past the deadline, else success. `fate` tells how far the caller got.
  Status Check(Fate fate = Fate::kNotSent) const;

  // Time left until the deadline, never negative, at most `cap`: what poll() and friends need.
  std::chrono::milliseconds Remaining(std::chrono::milliseconds cap) const;
};

}  // namespace bt
