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
  length_ = LoadU32(prefix_.data());
  if (length_ >= 1 && length_ <= max_message_) {
    message_.reserve(length_);
    return {};
  }
  if (!seen_message_ && LooksLikeText(prefix_)) {
    return Error{Code::kProtocol,
                 "the server sent text instead of SFTP; does a shell start-up file of the remote user print something?",
                 "sftp.bad-banner"};
  }
  return Error{Code::kProtocol, fmt::format("the server sent an SFTP message of {} bytes", length_), "sftp.bad-length"};
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
    const std::size_t take = std::min(length_ - message_.size(), bytes.size());
    message_.insert(message_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(take));
    bytes = bytes.subspan(take);
    if (message_.size() == length_) {
      prefix_have_ = 0;
      seen_message_ = true;
      TRY(sink_(std::exchange(message_, {})));
    }
  }
  return {};
}

}  // namespace bt::sftp
