#include "transport/sftp/packet.h"

#include <array>
#include <cassert>

namespace bt::sftp {
namespace {

constexpr std::size_t kLengthBytes = 4;

template <typename Integer>
Integer Load(std::span<const std::byte> bytes) {
  Integer value = 0;
  for (const std::byte byte : bytes) {
    value = static_cast<Integer>((value << 8U) | std::to_integer<Integer>(byte));
  }
  return value;
}

template <typename Integer>
void Append(std::vector<std::byte>& out, Integer value) {
  std::array<std::byte, sizeof(Integer)> bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>(value >> (8U * (bytes.size() - 1 - i)));
  }
  out.insert(out.end(), bytes.begin(), bytes.end());
}

}  // namespace

std::uint32_t LoadU32(const std::byte* at) { return Load<std::uint32_t>(std::span(at, 4)); }

void StoreU32(std::byte* at, std::uint32_t value) {
  for (unsigned i = 0; i < 4; ++i) {
    at[i] = static_cast<std::byte>(value >> (24U - 8U * i));
  }
}

PacketWriter::PacketWriter(MessageType type, std::size_t payload_hint) {
  message_.reserve(kLengthBytes + 1 + payload_hint);
  message_.resize(kLengthBytes);
  message_.push_back(static_cast<std::byte>(type));
}

PacketWriter& PacketWriter::U32(std::uint32_t value) {
  Append(message_, value);
  return *this;
}

PacketWriter& PacketWriter::U64(std::uint64_t value) {
  Append(message_, value);
  return *this;
}

PacketWriter& PacketWriter::String(std::string_view text) { return Bytes(std::as_bytes(std::span(text))); }

PacketWriter& PacketWriter::Bytes(std::span<const std::byte> bytes) {
  U32(static_cast<std::uint32_t>(bytes.size()));
  message_.insert(message_.end(), bytes.begin(), bytes.end());
  return *this;
}

PacketWriter& PacketWriter::Change(const AttributeChange& change) {
  U32((change.size ? kAttrSize : 0U) | (change.owner ? kAttrOwner : 0U) | (change.permissions ? kAttrPermissions : 0U) |
      (change.times ? kAttrTimes : 0U));
  if (change.size) {
    U64(*change.size);
  }
  if (change.owner) {
    U32(change.owner->uid).U32(change.owner->gid);
  }
  if (change.permissions) {
    U32(*change.permissions);
  }
  if (change.times) {
    U32(static_cast<std::uint32_t>(change.times->atime)).U32(static_cast<std::uint32_t>(change.times->mtime));
  }
  return *this;
}

std::vector<std::byte> PacketWriter::Take() {
  assert(message_.size() >= kLengthBytes);
  StoreU32(message_.data(), static_cast<std::uint32_t>(message_.size() - kLengthBytes));
  return std::move(message_);
}

std::span<const std::byte> PacketReader::Take(std::size_t count) {
  if (count > rest_.size()) {
    ok_ = false;
    rest_ = {};
    return {};
  }
  const std::span<const std::byte> taken = rest_.first(count);
  rest_ = rest_.subspan(count);
  return taken;
}

std::uint8_t PacketReader::U8() { return Load<std::uint8_t>(Take(1)); }
std::uint32_t PacketReader::U32() { return Load<std::uint32_t>(Take(4)); }
std::uint64_t PacketReader::U64() { return Load<std::uint64_t>(Take(8)); }

std::span<const std::byte> PacketReader::Bytes() { return Take(U32()); }

std::string_view PacketReader::String() {
  const std::span<const std::byte> bytes = Bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

WireAttributes PacketReader::ReadAttributes() {
  WireAttributes wire;
  wire.flags = U32();
  if (wire.has_size()) {
    wire.values.size = U64();
  }
  if ((wire.flags & kAttrOwner) != 0) {
    wire.values.uid = U32();
    wire.values.gid = U32();
  }
  if (wire.has_permissions()) {
    wire.values.mode = U32();
  }
  if ((wire.flags & kAttrTimes) != 0) {
    wire.values.atime = U32();
    wire.values.mtime = U32();
  }
  if ((wire.flags & kAttrExtended) != 0) {
    // Pairs of strings that nobody asked for. A count that the packet cannot hold ends at its last byte.
    for (std::uint32_t left = U32(); left > 0 && ok_; --left) {
      String();
      String();
    }
  }
  return wire;
}

}  // namespace bt::sftp
