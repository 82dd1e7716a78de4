// What lies between libssh2 and the byte stream: large reads cut small, small writes gathered into large ones.
//
// libssh2 must never be told that it cannot send: it would keep a half-sent packet and then refuse, with a false "try
// again", every other packet (window adjustments, key exchange, other channels). Therefore Send() always accepts; the
// lane stops writing to channels while congested().
//
// Reading is done in passes. One pass takes at most kReadBudget bytes from the stream, so that a lane whose consumer is
// slow holds that much and not a whole receive window.
//
// Threading: one thread, except `counters`, which anyone may read.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "transport/base/byte_stream.h"
#include "transport/base/op_context.h"

namespace bt::ssh {

// Bytes on the stream, SSH's own included.
struct Counters {
  std::atomic<std::uint64_t> bytes_in{0};
  std::atomic<std::uint64_t> bytes_out{0};
  std::atomic<Duration::rep> last_received{0};  // ticks of Clock since its epoch; 0: nothing yet
};

class StreamBuffer {
 public:
  static constexpr std::size_t kReadChunk = 256 * 1024;
  static constexpr std::size_t kReadBudget = 512 * 1024;
  static constexpr std::size_t kHighWater = 1024 * 1024;

  // Both outlive the buffer.
  StreamBuffer(ByteStream& stream, Counters& counters);

  // A new pass: its budget is full, nothing has moved yet, and the stream may be asked again.
  void BeginPass();

  // libssh2's callbacks: bytes moved, or a negative errno. Receive() says -EAGAIN also when the budget is spent and
  // when the stream has failed: the lane looks at failure() once everything that arrived before has been used.
  ssize_t Receive(void* out, std::size_t size);
  ssize_t Send(const void* bytes, std::size_t size);

  // Reads ahead when nothing is left to hand out. For a lane that has nobody to give bytes to.
  void Fill();
  // Hands as much as possible to the stream.
  void Flush();

  // From now on both callbacks fail, so that what libssh2 does when it is freed cannot wait.
  void Kill() { killed_ = true; }

  bool moved() const { return moved_; }  // bytes came in, or room was made for what waits
  bool congested() const { return queued() > kHighWater; }
  bool wants_write() const { return queued() > 0 && !failure_; }
  bool has_input() const { return in_begin_ < in_end_; }
  const std::optional<Error>& failure() const { return failure_; }

 private:
  std::size_t queued() const { return out_.size() - out_begin_; }

  ByteStream& stream_;
  Counters& counters_;

  std::vector<std::byte> in_;
  std::size_t in_begin_ = 0;
  std::size_t in_end_ = 0;
  std::size_t budget_ = kReadBudget;
  bool dry_ = false;  // the stream said "not now" in this pass

  std::vector<std::byte> out_;
  std::size_t out_begin_ = 0;

  std::optional<Error> failure_;
  bool moved_ = false;
  bool killed_ = false;
};

}  // namespace bt::ssh
