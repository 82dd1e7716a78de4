// One direction of an SFTP session: bytes in, walked packet by packet, bytes out. Packets are judged by their first
// bytes and forwarded without waiting for their bodies.
//
// Threading: one thread. Nothing here blocks: both descriptors are non-blocking.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace bt::tap {

// The first bytes of a packet: enough for type, id, a handle's length or an extension's name.
struct PacketHead {
  std::uint32_t length = 0;          // of the packet without its length field
  std::uint8_t type = 0;             // as on the wire
  std::uint32_t id = 0;              // 0 when the packet is too short to have one
  std::span<const std::byte> bytes;  // from the type on, at most kHeadBytes
};

std::uint32_t ReadU32(std::span<const std::byte> bytes);

enum class Verdict {
  kForward,
  kDrop,  // swallow the packet
  kHold,  // ask about this packet again later; nothing behind it passes
  kCut,   // write out what came before, then end the session
};

class Flow {
 public:
  Flow(int in, int out, std::function<Verdict(const PacketHead&)> judge);

  // Moves what can be moved now. `stop_at_boundary`: do not start another packet (so that a reply can be put between).
  void Pump(bool readable, bool writable, bool stop_at_boundary);

  // Also at the end of the buffer, when what was forwarded left room at its front.
  bool wants_read() const { return !ended_ && end_ - begin_ < buffer_.size(); }
  bool wants_write() const { return begin_ < walked_; }
  // Everything judged is written and the next byte would start a packet.
  bool at_boundary() const { return begin_ == walked_ && body_left_ == 0 && drop_left_ == 0; }
  bool ended() const { return ended_; }  // the source has no more
  bool drained() const { return ended_ && begin_ == walked_; }
  bool broken() const { return broken_; }  // the destination is gone
  bool cut() const { return cut_ && begin_ == walked_; }

 private:
  void Fill();
  void Walk(bool stop_at_boundary);
  void Flush();

  const int in_;
  const int out_;
  const std::function<Verdict(const PacketHead&)> judge_;

  // [begin_, walked_) may be written, [walked_, end_) is not judged yet.
  std::vector<std::byte> buffer_;
  std::size_t begin_ = 0;
  std::size_t walked_ = 0;
  std::size_t end_ = 0;
  std::size_t body_left_ = 0;  // of the packet being forwarded
  std::size_t drop_left_ = 0;  // of the packet being swallowed
  bool ended_ = false;
  bool broken_ = false;
  bool cut_ = false;
};

}  // namespace bt::tap
