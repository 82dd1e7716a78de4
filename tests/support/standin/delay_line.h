// One direction of one emulated TCP connection: bytes enter at the near side and arrive at the far side later.
//
//   departs = when the link's rate lets them   arrives = departs + delay   acknowledged = consumed + delay
//
// At most `window` bytes are on the way or unacknowledged, as with a TCP window, so a connection moves at most
// window / round trip time. Without delay, rate and window the line is a plain buffer.
//
// Threading: the link loop's thread, but for the counters.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "transport/base/op_context.h"

namespace bt::standin {

// One direction of a link, shared by all its connections.
struct LinkDirection {
  Duration delay{};
  std::uint64_t bytes_per_second = 0;   // 0: no limit
  std::uint64_t window = 0;             // bytes a connection; 0: no limit
  TimePoint free_at{};                  // when the last byte admitted has left
  std::int64_t cut_after = -1;          // bytes that may still arrive before everything is cut; -1: no limit
  std::atomic<std::uint64_t> bytes{0};  // arrived
};

// Buffers that go round: at several hundred MB/s the allocator would show.
class SegmentPool {
 public:
  static constexpr std::size_t kSegmentBytes = 256U << 10U;
  using Segment = std::unique_ptr<std::byte[]>;

  Segment Take();
  void Give(Segment segment);

 private:
  std::vector<Segment> free_;
};

class DelayLine {
 public:
  DelayLine(LinkDirection& direction, SegmentPool& pool) : direction_(direction), pool_(pool) {}
  ~DelayLine();
  DelayLine(const DelayLine&) = delete;
  DelayLine& operator=(const DelayLine&) = delete;

  // Nothing departs before this (the connection is being made).
  void HoldUntil(TimePoint time) { not_before_ = time; }

  // Near side. Room() is how many bytes may enter now; enter them through Space() and Commit(), any number of times.
  std::size_t Room(TimePoint now);
  std::span<std::byte> Space(std::size_t room);
  void Commit(std::size_t size, TimePoint now);
  void Push(std::span<const std::byte> bytes, TimePoint now);  // regardless of room
  void End(TimePoint now);                                     // no more bytes

  // Far side. Arrived() is a contiguous piece of what has arrived, empty when there is nothing.
  std::span<const std::byte> Arrived(TimePoint now);
  void Consume(std::size_t size, TimePoint now);
  bool Ended(TimePoint now);  // everything arrived was consumed, and so has the end

  bool has_end() const { return end_; }
  std::uint64_t entered() const { return entered_; }  // bytes, since the start

  // When Arrived(), Ended() or, after Room() said 0, Room() may say more. TimePoint::max(): not by waiting.
  TimePoint NextEvent() const;

 private:
  struct Mark {
    std::uint64_t offset;  // bytes before this ...
    TimePoint at;          // ... arrive, or are acknowledged, then
  };

  void Advance(TimePoint now);

  LinkDirection& direction_;
  SegmentPool& pool_;
  TimePoint not_before_{};

  std::deque<SegmentPool::Segment> segments_;      // the first holds offset consumed_, the last offset entered_
  std::size_t head_ = 0;                           // of consumed_ within the first segment
  std::size_t tail_ = SegmentPool::kSegmentBytes;  // of entered_ within the last segment

  std::uint64_t entered_ = 0;
  std::uint64_t arrived_ = 0;
  std::uint64_t consumed_ = 0;
  std::uint64_t acknowledged_ = 0;
  std::deque<Mark> arrivals_;
  std::deque<Mark> acknowledgements_;
  bool end_ = false;
  TimePoint end_at_{};
  TimePoint room_at_ = TimePoint::max();  // when to ask Room() again
};

}  // namespace bt::standin
