#include "tests/support/standin/relay_far_end.h"

#include <sys/socket.h>

#include <utility>

#include "tests/support/standin/sockets.h"

namespace bt::standin {

RelayFarEnd::RelayFarEnd(std::function<UniqueFd()> connect) : connect_(std::move(connect)) {}

bool RelayFarEnd::Open() {
  fd_ = connect_();
  return static_cast<bool>(fd_);
}

bool RelayFarEnd::Pump(DelayLine& up, DelayLine& down, TimePoint now) {
  bool moved = false;
  if (ready.write) {
    if (const auto bytes = up.Arrived(now); !bytes.empty()) {
      const Io io = WriteSome(fd_.get(), bytes, ready);
      up.Consume(io.size, now);
      moved = io.size > 0;
      broken_ = broken_ || io.outcome == IoOutcome::kError;
    } else if (!shut_ && up.Ended(now)) {
      shut_ = true;
      ::shutdown(fd_.get(), SHUT_WR);
    }
  }
  if (ready.read && !down.has_end()) {
    if (const std::size_t room = down.Room(now); room > 0) {
      const Io io = ReadSome(fd_.get(), down.Space(room), ready);
      if (io.outcome == IoOutcome::kMoved) {
        down.Commit(io.size, now);
        moved = true;
      } else if (io.outcome == IoOutcome::kEnd) {
        down.End(now);
        moved = true;
      } else if (io.outcome == IoOutcome::kError) {
        broken_ = true;
      }
    }
  }
  return moved;
}

void RelayFarEnd::Reset() {
  if (fd_) {
    ResetOnClose(fd_.get());
    fd_.Reset();
  }
}

}  // namespace bt::standin
