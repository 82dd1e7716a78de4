#include "transport/sftp/message_splitter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "transport/sftp/packet.h"

namespace bt::sftp {
namespace {

// A shell start-up file that prints something puts its text in front of the server's first message.
bool LooksLikeText(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte byte) {
    const int c = std::to_integer<int>(byte);
    return (c >= 0x20 && c < 0x7f) || c == '\n' || c == '\r' || c == '\t' || c == 0x1b;
  });
}

}  // namespace

Status MessageSplitter::BeginMessage() {
  const std::size_t length = LoadU32(prefix_.data());
  if (length >= 1 && length <= max_message_) {
    message_.resize(length);
    message_have_ = 0;
    return {};
  }
  if (!seen_message_ && LooksLikeText(prefix_)) {
    return Error{Code::kProtocol,
                 "the server sent text instead of SFTP; does a shell start-up file of the remote user print something?",
                 "sftp.bad-banner"};
  }
  return Error{Code::kProtocol, fmt::format("the server sent an SFTP message of {} bytes", length), "sftp.bad-length"};
}

std::span<std::byte> MessageSplitter::Room() {
  return prefix_have_ == prefix_.size() ? std::span(message_).subspan(message_have_) : std::span(between_);
}

Status MessageSplitter::Feed(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    if (prefix_have_ < prefix_.size()) {
      const std::size_t take = std::min(prefix_.size() - prefix_have_, bytes.size());
      std::memcpy(prefix_.data() + prefix_have_, bytes.data(), take);
      prefix_have_ += take;
      bytes = bytes.subspan(take);
      if (prefix_have_ < prefix_.size()) {
        return {};
      }
      TRY(BeginMessage());
    }
    const std::size_t take = std::min(message_.size() - message_have_, bytes.size());
    std::byte* const place = message_.data() + message_have_;
    if (take > 0 && bytes.data() != place) {
      std::memcpy(place, bytes.data(), take);
    }
    message_have_ += take;
    bytes = bytes.subspan(take);
    if (message_have_ == message_.size()) {
      prefix_have_ = 0;
      seen_message_ = true;
      TRY(sink_(std::exchange(message_, {})));
    }
  }
  return {};
}

}  // namespace bt::sftp
