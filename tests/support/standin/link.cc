#include "tests/support/standin/link.h"

#include <utility>

#include "tests/support/standin/link_loop.h"
#include "tests/support/standin/sockets.h"

namespace bt::standin {

void Link::SetRtt(std::chrono::microseconds rtt) {
  loop_.Run([&] { up_.delay = down_.delay = std::chrono::duration_cast<Duration>(rtt) / 2; });
}

void Link::SetRate(std::uint64_t bytes_per_second) { SetRate(bytes_per_second, bytes_per_second); }

void Link::SetRate(std::uint64_t up, std::uint64_t down) {
  loop_.Run([&] {
    up_.bytes_per_second = up;
    down_.bytes_per_second = down;
    up_.free_at = down_.free_at = TimePoint{};
  });
}

void Link::SetWindow(std::uint64_t bytes) {
  loop_.Run([&] { up_.window = down_.window = bytes; });
}

void Link::CutAll() {
  loop_.Run([&] { CutNow(); });
}

void Link::CutEvery(std::uint64_t seed, std::chrono::milliseconds min, std::chrono::milliseconds max) {
  loop_.Run([&] {
    cut_random_.seed(seed);
    cut_min_ = min;
    cut_max_ = max;
    next_cut_ = DrawNextCut(Clock::now());
  });
}

void Link::StopCutting() {
  loop_.Run([&] { next_cut_ = TimePoint::max(); });
}

void Link::CutAfter(Direction direction, std::uint64_t bytes) {
  loop_.Run([&] { (direction == Direction::kUp ? up_ : down_).cut_after = static_cast<std::int64_t>(bytes); });
}

void Link::Stall(StallNew fresh) {
  loop_.Run([&] {
    stalled_ = true;
    stall_new_ = fresh == StallNew::kToo;
    for (const auto& connection : connections_) {
      connection->SetStalled(true);
    }
  });
}

void Link::EndStall() {
  loop_.Run([&] {
    stalled_ = stall_new_ = false;
    for (const auto& connection : connections_) {
      connection->SetStalled(false);
    }
  });
}

Status Link::RefuseConnections(bool refuse) {
  Status status;
  loop_.Run([&] {
    if (refuse == refusing_) {
      return;
    }
    refusing_ = refuse;
    for (const auto& listener : listeners_) {
      if (Status reopened = loop_.Reopen(*this, *listener); !reopened.ok()) {
        status = std::move(reopened);
      }
    }
  });
  return status;
}

void Link::SetMaxConnections(std::uint64_t connections) {
  loop_.Run([&] { max_connections_ = connections; });
}

LinkCounters Link::counters() const {
  loop_.Run([] {});  // what a client has received by now is counted
  return {.connections = accepted_,
          .open = open_,
          .bytes_up = up_.bytes.load(std::memory_order_relaxed),
          .bytes_down = down_.bytes.load(std::memory_order_relaxed),
          .cuts = cuts_};
}

void Link::CutNow() {
  for (const auto& connection : connections_) {
    if (!connection->over()) {
      connection->Cut();
      ++cuts_;
    }
  }
}

TimePoint Link::DrawNextCut(TimePoint now) {
  const auto span = static_cast<std::uint64_t>((cut_max_ - cut_min_).count()) + 1;
  return now + cut_min_ + std::chrono::milliseconds(cut_random_() % span);
}

}  // namespace bt::standin
