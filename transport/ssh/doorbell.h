// Wakes the one thread that sleeps in poll(). Any number of rings while it is awake or not yet up cost one eventfd
// write at most, and none when it is not asleep.
//
// Threading: Ring() from any thread; everything else from the sleeper.
#pragma once

#include <atomic>

#include "transport/base/unique_fd.h"

namespace bt::ssh {

class Doorbell {
 public:
  Doorbell();

  // False when the process has no descriptor left.
  bool ok() const { return static_cast<bool>(fd_); }

  // After what the sleeper shall see has been stored.
  void Ring();

  // The sleeper is up and is going to look at everything: rings from now on count again. `readable`: poll() said so
  // of fd().
  void Awake(bool readable);
  // False when it rang since Awake(): look again instead of sleeping. Else sleep on fd() for POLLIN, then Awake().
  bool FallAsleep();
  int fd() const { return fd_.get(); }

 private:
  enum class State { kAwake, kRung, kAsleep };

  const UniqueFd fd_;
  std::atomic<State> state_{State::kAwake};
};

}  // namespace bt::ssh
