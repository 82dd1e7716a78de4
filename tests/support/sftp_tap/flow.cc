#include "tests/support/sftp_tap/flow.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace bt::tap {
namespace {

constexpr std::size_t kBufferBytes = 1U << 20U;
constexpr std::size_t kLengthBytes = 4;
constexpr std::size_t kHeadBytes = 64;
// Below this much free space at its end the buffer is moved to its front before the next read.
constexpr std::size_t kCompactBelow = 64U << 10U;

}  // namespace

std::uint32_t ReadU32(std::span<const std::byte> bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    value = (value << 8U) | std::to_integer<std::uint32_t>(bytes[i]);
  }
  return value;
}

Flow::Flow(int in, int out, std::function<Verdict(const PacketHead&)> judge)
    : in_(in), out_(out), judge_(std::move(judge)), buffer_(kBufferBytes) {}

void Flow::Pump(bool readable, bool writable, bool stop_at_boundary) {
  if (readable) {
    Fill();
  }
  Walk(stop_at_boundary);
  if (writable || readable) {  // what was just read can most often be written at once
    Flush();
    // A cut or a dropped packet waits for what came before it to be written.
    if (begin_ == walked_) {
      Walk(stop_at_boundary);
    }
  }
}

void Flow::Fill() {
  if (ended_) {
    return;
  }
  if (begin_ > 0 && buffer_.size() - end_ < kCompactBelow) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    walked_ -= begin_;
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == buffer_.size()) {
    return;
  }
  const ssize_t n = ::read(in_, buffer_.data() + end_, buffer_.size() - end_);
  if (n > 0) {
    end_ += static_cast<std::size_t>(n);
  } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
    ended_ = true;
  }
}

void Flow::Walk(bool stop_at_boundary) {
  while (walked_ < end_ && !cut_) {
    const std::size_t available = end_ - walked_;
    if (body_left_ > 0) {
      const std::size_t n = std::min(available, body_left_);
      walked_ += n;
      body_left_ -= n;
      continue;
    }
    if (drop_left_ > 0) {
      if (begin_ != walked_) {
        return;  // the bytes before the dropped packet leave first
      }
      const std::size_t n = std::min(available, drop_left_);
      begin_ = walked_ += n;
      drop_left_ -= n;
      continue;
    }
    if (stop_at_boundary || available < kLengthBytes) {
      return;
    }
    const std::span<const std::byte> packet{buffer_.data() + walked_, available};
    PacketHead head;
    head.length = ReadU32(packet);
    const std::size_t head_bytes = std::min<std::size_t>(head.length, kHeadBytes);
    if (available < kLengthBytes + head_bytes) {
      return;
    }
    head.bytes = packet.subspan(kLengthBytes, head_bytes);
    head.type = head_bytes > 0 ? std::to_integer<std::uint8_t>(head.bytes[0]) : std::uint8_t{0};
    head.id = head_bytes >= 5 ? ReadU32(head.bytes.subspan(1)) : 0;
    switch (judge_(head)) {
      case Verdict::kForward:
        body_left_ = kLengthBytes + std::size_t{head.length};
        break;
      case Verdict::kDrop:
        drop_left_ = kLengthBytes + std::size_t{head.length};
        break;
      case Verdict::kHold:
        return;
      case Verdict::kCut:
        cut_ = true;
        break;
    }
  }
}

void Flow::Flush() {
  while (begin_ < walked_) {
    const ssize_t n = ::write(out_, buffer_.data() + begin_, walked_ - begin_);
    if (n < 0) {
      if (errno == EINTR) {
        continue;
      }
      broken_ = errno != EAGAIN;
      return;
    }
    begin_ += static_cast<std::size_t>(n);
  }
  if (begin_ == end_) {
    begin_ = walked_ = end_ = 0;
  }
}

}  // namespace bt::tap
