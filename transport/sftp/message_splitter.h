// Cuts the byte stream of a channel into SFTP messages.
//
// Each message is gathered in a buffer of its own, allocated once at its full (checked) length, which is then moved to
// whoever waits for it. The bytes are never looked at one by one, and most of a long message is not even copied.
//
// Threading: one thread at a time.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <span>

#include "transport/base/result.h"
#include "transport/base/uninitialized_bytes.h"
#include "transport/sftp/protocol.h"

namespace bt::sftp {

class MessageSplitter {
 public:
  // Without its length prefix; at least the type byte.
  using Sink = std::function<Status(UninitializedBytes message)>;

  explicit MessageSplitter(Sink sink, std::size_t max_message = kMaxReplyBytes)
      : sink_(std::move(sink)), max_message_(max_message) {}

  // Where the next bytes would best be put; never empty. Good until the next Feed().
  std::span<std::byte> Room();

  // Calls the sink for every message that `bytes` completes. They may be the beginning of Room(). kProtocol for a
  // length of zero or beyond the maximum, or the sink's error; the splitter must not be fed after an error.
  Status Feed(std::span<const std::byte> bytes);

  // Bytes of a message that is not whole yet.
  bool mid_message() const { return prefix_have_ > 0; }

 private:
  Status BeginMessage();

  const Sink sink_;
  const std::size_t max_message_;
  std::array<std::byte, 4> prefix_{};
  std::size_t prefix_have_ = 0;
  UninitializedBytes message_;  // the one being gathered, once the prefix is whole
  std::size_t message_have_ = 0;
  std::array<std::byte, 4096> between_{};  // room for prefixes and short messages
  bool seen_message_ = false;
};

}  // namespace bt::sftp
