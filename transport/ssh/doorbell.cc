#include "transport/ssh/doorbell.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

namespace bt::ssh {

Doorbell::Doorbell() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void Doorbell::Ring() {
  if (state_.exchange(State::kRung) == State::kAsleep) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t put = ::write(fd_.get(), &one, sizeof one);  // fails only when already readable
  }
}

void Doorbell::Awake(bool readable) {
  state_.store(State::kAwake);
  // A ringer that found us asleep may write only after this; then the next sleep ends at once, which is harmless.
  if (readable) {
    std::uint64_t rings = 0;
    [[maybe_unused]] const ssize_t got = ::read(fd_.get(), &rings, sizeof rings);
  }
}

bool Doorbell::FallAsleep() {
  State expected = State::kAwake;
  return state_.compare_exchange_strong(expected, State::kAsleep);
}

}  // namespace bt::ssh
