// Bytes through a channel that sends back what it gets, compared with a pattern.
//
// Threading: the receiver from any thread, Echo() blocks its caller.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "transport/base/op_context.h"
#include "transport/base/sync.h"
#include "transport/sftp/message_channel.h"

namespace bt::test {

// A subsystem of sshd that does it.
inline constexpr const char* kEcho = "Subsystem echo /bin/cat\n";

// The byte at position i of the test's endless text: does not repeat at any power of two.
inline std::byte PatternAt(std::uint64_t i) { return static_cast<std::byte>((i * 2654435761U) >> 13U); }

// Compares what comes with the pattern.
class PatternReceiver final : public sftp::MessageChannel::Receiver {
 public:
  void OnBytes(std::span<const std::byte> bytes) override {
    const MutexLock lock(mutex_);
    for (const std::byte b : bytes) {
      wrong_ += b == PatternAt(position_) ? 0 : 1;
      ++position_;
    }
    changed_.NotifyAll();
  }
  void OnClosed(const Error& why, std::uint64_t /*messages_started*/) override {
    const MutexLock lock(mutex_);
    closed_ = why;
    changed_.NotifyAll();
  }
  // Until at least `position` bytes came; false when the channel or the time ended before.
  bool WaitFor(std::uint64_t position, const OpContext& ctx) {
    const MutexLock lock(mutex_);
    while (position_ < position && !closed_ && ctx.Check().ok()) {
      changed_.Wait(mutex_, ctx);
    }
    return position_ >= position;
  }
  std::uint64_t wrong() {
    const MutexLock lock(mutex_);
    return wrong_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::uint64_t position_ GUARDED_BY(mutex_) = 0;
  std::uint64_t wrong_ GUARDED_BY(mutex_) = 0;
  std::optional<Error> closed_ GUARDED_BY(mutex_);
};

// Sends `total` bytes of the pattern through an echoing channel, at most 8 MiB ahead of what has come back.
inline void Echo(sftp::MessageChannel& channel, PatternReceiver& receiver, std::uint64_t total) {
  constexpr std::uint64_t kAhead = 8 * 1024 * 1024;
  const OpContext ctx = OpContext::WithTimeout(std::chrono::seconds(50));
  std::uint64_t sent = 0;
  for (std::uint64_t turn = 0; sent < total; ++turn) {
    const std::uint64_t size = std::min<std::uint64_t>(total - sent, turn % 3 == 0 ? 261120 : 1 + turn * 37 % 20000);
    std::vector<std::byte> message(size);
    for (std::uint64_t i = 0; i < size; ++i) {
      message[i] = PatternAt(sent + i);
    }
    sent += size;
    channel.Send(std::move(message));
    if (sent > kAhead && !receiver.WaitFor(sent - kAhead, ctx)) {
      FAIL() << "stalled after " << sent << " bytes";
    }
  }
  ASSERT_TRUE(receiver.WaitFor(total, ctx)) << "stalled at the end";
  EXPECT_EQ(receiver.wrong(), 0U);
}

}  // namespace bt::test
