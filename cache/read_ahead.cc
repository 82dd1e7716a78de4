#include "cache/read_ahead.h"

#include <algorithm>
#include <span>

namespace bt {

ReadAhead::Stream* ReadAhead::Find(std::uint64_t offset, std::uint64_t length) {
  Stream* best = nullptr;
  for (Stream& stream : std::span(streams_).first(used_)) {
    // A running stream may jump a little; one that was seen only once must go on where it was.
    const std::uint64_t run = stream.next - stream.start;
    const std::uint64_t jump = stream.sequential ? std::clamp(run / 4, length, kReorder) : length;
    const std::uint64_t back = stream.sequential ? std::min(run, kReorder) : 0;
    if (offset <= stream.next + jump && offset + back >= stream.next && (best == nullptr || best->next < stream.next)) {
      best = &stream;
    }
  }
  return best;
}

ReadAhead::Wish ReadAhead::OnRead(std::uint64_t offset, std::uint64_t length, std::uint64_t largest_window) {
  ++reads_;
  Stream* stream = Find(offset, length);
  if (stream == nullptr) {
    stream = used_ < kStreams ? &streams_.at(used_++) : std::ranges::min_element(streams_, {}, &Stream::last_use);
    *stream = Stream{.start = offset, .next = offset + length, .last_use = reads_};
    stream->sequential = offset == 0;  // who starts at the beginning most likely goes on
  } else {
    stream->sequential = true;
    stream->last_use = reads_;
    stream->next = std::max(stream->next, offset + length);
  }
  ++stream->being_served;
  const auto number = static_cast<std::size_t>(stream - streams_.data());
  if (!stream->sequential) {
    return {.range = {}, .near = {}, .window = 0, .stream = number};
  }
  const std::uint64_t run = stream->next - stream->start;
  const std::uint64_t window = std::min(run == length ? length : std::max(2 * run, kSmallestWindow), largest_window);
  return {.range = {std::max(stream->next, stream->planned), stream->next + window},
          .near = {std::max(stream->next, stream->planned_near), stream->next + std::min(window, kNear)},
          .window = window,
          .stream = number};
}

void ReadAhead::Served(std::size_t stream) {
  std::size_t& reads = streams_.at(stream).being_served;
  reads -= std::min<std::size_t>(reads, 1);  // another stream may have taken the place of that one meanwhile
}

std::size_t ReadAhead::running() const {
  return static_cast<std::size_t>(std::ranges::count_if(std::span(streams_).first(used_), [this](const Stream& stream) {
    return stream.sequential && (stream.being_served > 0 || stream.last_use + 4 * kStreams > reads_);
  }));
}

}  // namespace bt
