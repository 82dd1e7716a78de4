// Messages on their way to a channel, handed out in pieces that suit libssh2: it takes at most 32,700 bytes at a time,
// and after "try again" wants to be called with the very same bytes.
//
// Small messages are gathered into one piece, large ones are handed out in place, without a copy.
//
// Threading: one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

namespace bt::ssh {

class OutgoingQueue {
 public:
  // What libssh2 puts into one SSH packet.
  static constexpr std::size_t kPiece = 32700;

  void Push(std::vector<std::byte> message);

  // The next bytes to write; empty when there are none. The same bytes until Advance().
  std::span<const std::byte> Next();
  void Advance(std::size_t written);

  // How many messages had a byte in something that Next() handed out.
  std::uint64_t started() const { return started_; }

  void Clear();

 private:
  // Above this the copy into a shared piece costs more than a packet of its own.
  static constexpr std::size_t kLarge = 8 * 1024;

  std::deque<std::vector<std::byte>> messages_;
  std::size_t front_offset_ = 0;  // bytes of the first message already written or gathered

  std::vector<std::byte> gathered_;
  std::size_t gathered_offset_ = 0;

  std::span<const std::byte> in_place_;  // the rest of the first message
  std::uint64_t started_ = 0;
};

}  // namespace bt::ssh
