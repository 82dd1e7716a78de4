#include "tests/support/standin/connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <utility>

#include "tests/support/standin/sockets.h"

namespace bt::standin {
namespace {

using namespace std::chrono_literals;

constexpr int kRoundsPerTurn = 4;
constexpr Duration kLinger = 2s;

}  // namespace

// A TCP connection costs a round trip before the client may send, and is known at the far end half a round trip after
// that; the kernel's own handshake on the loopback took no time, so both are made up for here.
Connection::Connection(UniqueFd client, std::unique_ptr<FarEnd> far_end, LinkDirection& up, LinkDirection& down,
                       SegmentPool& pool, TimePoint now)
    : client_(std::move(client)),
      far_end_(std::move(far_end)),
      opens_at_(now + up.delay + down.delay + up.delay),
      up_(up, pool),
      down_(down, pool) {
  up_.HoldUntil(now + up.delay + down.delay);
}

bool Connection::Pump(TimePoint now) {
  entered_before_ = up_.entered() + down_.entered();
  if (stalled_ || over_) {
    return false;
  }
  pumped_at_ = now;
  if (linger_until_ != TimePoint::max()) {
    Linger(now);
    return false;
  }
  if (!opened_ && now >= opens_at_) {
    opened_ = true;
    if (!far_end_->Open()) {
      Cut();
      return false;
    }
  }
  bool moved = true;
  for (int round = 0; moved && round < kRoundsPerTurn; ++round) {
    pumped_at_ = now = Clock::now();
    moved = ReadClient(now);
    if (opened_) {
      moved = far_end_->Pump(up_, down_, now) || moved;
    }
    moved = WriteClient(now) || moved;
    if (far_end_->broken() || (client_gone_ && up_.Ended(now))) {
      Cut();
      return false;
    }
    if (linger_until_ != TimePoint::max()) {
      return false;
    }
  }
  return moved;
}

bool Connection::ReadClient(TimePoint now) {
  if (!client_ready.read || up_.has_end()) {
    return false;
  }
  const std::size_t room = up_.Room(now);
  if (room == 0) {
    return false;
  }
  const Io io = ReadSome(client_.get(), up_.Space(room), client_ready);
  switch (io.outcome) {
    case IoOutcome::kMoved:
      up_.Commit(io.size, now);
      return true;
    case IoOutcome::kEnd:
      up_.End(now);
      return true;
    case IoOutcome::kError:
      client_gone_ = true;
      up_.End(now);
      return true;
    case IoOutcome::kWait:
      return false;
  }
  return false;
}

bool Connection::WriteClient(TimePoint now) {
  bool moved = false;
  while (client_ready.write || client_gone_) {
    const auto bytes = down_.Arrived(now);
    if (bytes.empty()) {
      break;
    }
    if (client_gone_) {
      down_.Consume(bytes.size(), now);
      continue;
    }
    const Io io = WriteSome(client_.get(), bytes, client_ready);
    if (io.outcome == IoOutcome::kError) {
      client_gone_ = true;
      up_.End(now);
      return true;
    }
    down_.Consume(io.size, now);
    moved = moved || io.size > 0;
  }
  if (down_.Ended(now)) {
    ::shutdown(client_.get(), SHUT_WR);
    linger_until_ = now + kLinger;
    Linger(now);
  }
  return moved;
}

void Connection::Linger(TimePoint now) {
  std::array<std::byte, 4096> scratch;
  for (;;) {
    const Io io = ReadSome(client_.get(), scratch, client_ready);
    if (io.outcome == IoOutcome::kEnd || io.outcome == IoOutcome::kError || now >= linger_until_) {
      over_ = true;
      return;
    }
    if (io.outcome == IoOutcome::kWait) {
      return;
    }
  }
}

TimePoint Connection::NextEvent() const {
  if (stalled_ || over_) {
    return TimePoint::max();
  }
  if (linger_until_ != TimePoint::max()) {
    return linger_until_;
  }
  TimePoint next = opened_ ? TimePoint::max() : opens_at_;
  // What had arrived by the last turn and was not taken waits for a socket, not for the clock.
  for (const DelayLine* line : {&up_, &down_}) {
    if (const TimePoint at = line->NextEvent(); at > pumped_at_) {
      next = std::min(next, at);
    }
  }
  return next;
}

void Connection::Cut() {
  if (client_) {
    ResetOnClose(client_.get());
    client_.Reset();
  }
  far_end_->Reset();
  over_ = true;
}

}  // namespace bt::standin
