#include "transport/ssh/stream_buffer.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace bt::ssh {

StreamBuffer::StreamBuffer(ByteStream& stream, Counters& counters)
    : stream_(stream), counters_(counters), in_(kReadChunk) {}

void StreamBuffer::BeginPass() {
  budget_ = kReadBudget;
  dry_ = false;
  moved_ = false;
}

ssize_t StreamBuffer::Receive(void* out, std::size_t size) {
  if (killed_) {
    return -EPIPE;
  }
  Fill();
  if (!has_input()) {
    return -EAGAIN;
  }
  const std::size_t count = std::min(size, in_end_ - in_begin_);
  std::memcpy(out, in_.data() + in_begin_, count);
  in_begin_ += count;
  return static_cast<ssize_t>(count);
}

void StreamBuffer::Fill() {
  if (has_input() || dry_ || budget_ == 0 || failure_) {
    return;
  }
  const Result<std::size_t> got = stream_.Read(std::span(in_).first(std::min(budget_, in_.size())));
  if (!got.ok()) {
    failure_ = got.error();
    return;
  }
  if (*got == 0) {
    dry_ = true;
    return;
  }
  in_begin_ = 0;
  in_end_ = *got;
  budget_ -= std::min(budget_, *got);
  moved_ = true;
  counters_.bytes_in.fetch_add(*got, std::memory_order_relaxed);
  counters_.last_received.store(Clock::now().time_since_epoch().count(), std::memory_order_relaxed);
}

ssize_t StreamBuffer::Send(const void* bytes, std::size_t size) {
  if (killed_) {
    return -EPIPE;
  }
  const auto* first = static_cast<const std::byte*>(bytes);
  out_.insert(out_.end(), first, first + size);
  return static_cast<ssize_t>(size);
}

void StreamBuffer::Flush() {
  const bool was_congested = congested();
  while (queued() > 0 && !failure_) {
    const Result<std::size_t> put = stream_.Write(std::span(out_).subspan(out_begin_));
    if (!put.ok()) {
      failure_ = put.error();
      break;
    }
    if (*put == 0) {
      break;
    }
    out_begin_ += *put;
    counters_.bytes_out.fetch_add(*put, std::memory_order_relaxed);
  }
  if (queued() == 0) {
    out_.clear();
    out_begin_ = 0;
  } else if (out_begin_ >= kHighWater / 2) {
    out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(out_begin_));
    out_begin_ = 0;
  }
  moved_ = moved_ || (was_congested && !congested());
}

}  // namespace bt::ssh
