// Exponential backoff with full jitter: the n-th delay is uniform in (0, min(cap, first * 2^n)].
//
// Full jitter spreads the clients of a service that comes back far better than a fixed schedule with a little noise
// (M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015).
//
// Threading: one thread at a time. Neither sleeps nor reads a clock.
#pragma once

#include <chrono>
#include <functional>

namespace bt {

class Backoff {
 public:
  struct Options {
    std::chrono::milliseconds first{250};
    std::chrono::milliseconds cap{30'000};
  };
  // Uniform in [0, 1).
  using Random = std::function<double()>;

  Backoff(Options options, Random random) : options_(options), random_(std::move(random)) {}

  // The delay before the next attempt; each call doubles the ceiling until the cap.
  std::chrono::milliseconds Next();

  // After a success: the next delay is drawn from the first ceiling again.
  void Reset() { ceiling_ = std::chrono::milliseconds(0); }

  // The ceiling that the last delay was drawn from; 0 before the first.
  std::chrono::milliseconds ceiling() const { return ceiling_; }

 private:
  Options options_;
  Random random_;
  std::chrono::milliseconds ceiling_{0};
};

}  // namespace bt
