#include "tests/support/standin/delay_line.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace bt::standin {
namespace {

using namespace std::chrono_literals;

// What a line holds when no window is set. Without delay it is a buffer between two sockets; with delay it has to hold
// everything that is on the way.
constexpr std::uint64_t kBufferBytes = 1U << 20U;
constexpr std::uint64_t kOnTheWayBytes = 256U << 20U;
// How far ahead of the clock a limited link takes bytes, and so the size of the turns in which connections share it.
constexpr Duration kRateAhead = 2ms;
constexpr std::uint64_t kMinTurnBytes = 1448;
constexpr std::size_t kKeptSegments = 512;  // 128 MiB: what is in flight on a fast and far link

Duration TimeFor(std::uint64_t bytes, std::uint64_t bytes_per_second) {
  return std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(static_cast<double>(bytes) / static_cast<double>(bytes_per_second)));
}

}  // namespace

SegmentPool::Segment SegmentPool::Take() {
  if (free_.empty()) {
    return std::make_unique_for_overwrite<std::byte[]>(kSegmentBytes);
  }
  Segment segment = std::move(free_.back());
  free_.pop_back();
  return segment;
}

void SegmentPool::Give(Segment segment) {
  if (free_.size() < kKeptSegments) {
    free_.push_back(std::move(segment));
  }
}

DelayLine::~DelayLine() {
  for (SegmentPool::Segment& segment : segments_) {
    pool_.Give(std::move(segment));
  }
}

std::size_t DelayLine::Room(TimePoint now) {
  Advance(now);
  room_at_ = TimePoint::max();
  const bool delayed = direction_.delay > Duration::zero();
  std::uint64_t limit = delayed ? kOnTheWayBytes : kBufferBytes;
  if (direction_.window > 0) {
    limit = std::min(limit, direction_.window);
  }
  const std::uint64_t in_flight = entered_ - acknowledged_;
  if (in_flight >= limit) {
    if (!acknowledgements_.empty()) {
      room_at_ = acknowledgements_.front().at;
    }
    return 0;
  }
  std::uint64_t room = limit - in_flight;
  if (direction_.bytes_per_second > 0) {
    if (direction_.free_at > now + kRateAhead) {
      room_at_ = direction_.free_at - kRateAhead;
      return 0;
    }
    const auto turn = static_cast<std::uint64_t>(std::chrono::duration<double>(kRateAhead).count() *
                                                 static_cast<double>(direction_.bytes_per_second));
    room = std::min(room, std::max(turn, kMinTurnBytes));
  }
  return room;
}

std::span<std::byte> DelayLine::Space(std::size_t room) {
  if (tail_ == SegmentPool::kSegmentBytes) {
    if (segments_.empty()) {
      head_ = 0;
    }
    segments_.push_back(pool_.Take());
    tail_ = 0;
  }
  return {segments_.back().get() + tail_, std::min(room, SegmentPool::kSegmentBytes - tail_)};
}

void DelayLine::Commit(std::size_t size, TimePoint now) {
  tail_ += size;
  entered_ += size;
  TimePoint at = std::max(now, not_before_);
  if (direction_.bytes_per_second > 0) {
    at = direction_.free_at = std::max(at, direction_.free_at) + TimeFor(size, direction_.bytes_per_second);
  }
  at += direction_.delay;
  if (arrivals_.empty()) {
    if (at <= now) {
      arrived_ = entered_;
      return;
    }
  } else {
    at = std::max(at, arrivals_.back().at);  // bytes do not overtake when the delay is made smaller
  }
  if (!arrivals_.empty() && arrivals_.back().at == at) {
    arrivals_.back().offset = entered_;
  } else {
    arrivals_.push_back({entered_, at});
  }
}

void DelayLine::Push(std::span<const std::byte> bytes, TimePoint now) {
  while (!bytes.empty()) {
    const std::span<std::byte> space = Space(bytes.size());
    std::memcpy(space.data(), bytes.data(), space.size());
    Commit(space.size(), now);
    bytes = bytes.subspan(space.size());
  }
}

void DelayLine::End(TimePoint now) {
  if (!end_) {
    end_ = true;
    end_at_ = std::max(now, not_before_) + direction_.delay;
    if (!arrivals_.empty()) {
      end_at_ = std::max(end_at_, arrivals_.back().at);
    }
  }
}

void DelayLine::Advance(TimePoint now) {
  while (!arrivals_.empty() && arrivals_.front().at <= now) {
    arrived_ = arrivals_.front().offset;
    arrivals_.pop_front();
  }
  while (!acknowledgements_.empty() && acknowledgements_.front().at <= now) {
    acknowledged_ = acknowledgements_.front().offset;
    acknowledgements_.pop_front();
  }
}

std::span<const std::byte> DelayLine::Arrived(TimePoint now) {
  Advance(now);
  if (arrived_ == consumed_) {
    return {};
  }
  std::uint64_t size = std::min<std::uint64_t>(arrived_ - consumed_, SegmentPool::kSegmentBytes - head_);
  if (direction_.cut_after >= 0) {
    size = std::min(size, static_cast<std::uint64_t>(direction_.cut_after));
  }
  return {segments_.front().get() + head_, size};
}

void DelayLine::Consume(std::size_t size, TimePoint now) {
  direction_.bytes.fetch_add(size, std::memory_order_relaxed);
  if (direction_.cut_after >= 0) {
    direction_.cut_after -= static_cast<std::int64_t>(size);
  }
  consumed_ += size;
  head_ += size;
  if (consumed_ == entered_) {  // empty: start again at the front of the one segment there is
    while (segments_.size() > 1) {
      pool_.Give(std::move(segments_.front()));
      segments_.pop_front();
    }
    if (!segments_.empty()) {
      head_ = tail_ = 0;
    }
  } else if (head_ == SegmentPool::kSegmentBytes) {
    pool_.Give(std::move(segments_.front()));
    segments_.pop_front();
    head_ = 0;
  }
  if (direction_.delay <= Duration::zero() && acknowledgements_.empty()) {
    acknowledged_ = consumed_;
    return;
  }
  TimePoint at = now + direction_.delay;
  if (!acknowledgements_.empty()) {
    at = std::max(at, acknowledgements_.back().at);
    if (acknowledgements_.back().at == at) {
      acknowledgements_.back().offset = consumed_;
      return;
    }
  }
  acknowledgements_.push_back({consumed_, at});
}

bool DelayLine::Ended(TimePoint now) {
  Advance(now);
  return end_ && consumed_ == entered_ && now >= end_at_;
}

TimePoint DelayLine::NextEvent() const {
  TimePoint next = room_at_;
  if (!arrivals_.empty()) {
    next = std::min(next, arrivals_.front().at);
  } else if (end_) {
    next = std::min(next, end_at_);
  }
  return next;
}

}  // namespace bt::standin
