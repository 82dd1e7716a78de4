// Writing and reading the fields of SFTP messages.
//
// The writer builds one whole message, length prefix included. The reader is bounded by the bytes it was given: nothing
// is allocated from a length that the peer claims, and after the first field that does not fit every further field
// reads as empty and ok() is false, so a decoder checks once, at its end.
//
// Threading: one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "transport/attributes.h"
#include "transport/sftp/protocol.h"

namespace bt::sftp {

// Attributes as they came: a server may leave any part out.
struct WireAttributes {
  Attributes values;  // what is missing is zero
  std::uint32_t flags = 0;

  bool has_size() const { return (flags & kAttrSize) != 0; }
  bool has_permissions() const { return (flags & kAttrPermissions) != 0; }
};

class PacketWriter {
 public:
  // `payload_hint`: bytes that will follow the type, to allocate once.
  PacketWriter(MessageType type, std::size_t payload_hint);

  PacketWriter& U32(std::uint32_t value);
  PacketWriter& U64(std::uint64_t value);
  PacketWriter& String(std::string_view text);
  PacketWriter& Bytes(std::span<const std::byte> bytes);  // as a string: length, then the bytes
  // Owner and times travel in pairs; times are cut to 32 bits (the caller has checked them).
  PacketWriter& Change(const AttributeChange& change);
  PacketWriter& NoAttributes() { return U32(0); }

  // The message with its length prefix filled in. Ends the writer.
  std::vector<std::byte> Take();

 private:
  std::vector<std::byte> message_;
};

class PacketReader {
 public:
  explicit PacketReader(std::span<const std::byte> bytes) : rest_(bytes) {}

  std::uint8_t U8();
  std::uint32_t U32();
  std::uint64_t U64();
  std::string_view String();  // lives as long as the bytes given
  std::span<const std::byte> Bytes();
  WireAttributes ReadAttributes();

  bool ok() const { return ok_; }
  std::size_t remaining() const { return rest_.size(); }

 private:
  std::span<const std::byte> Take(std::size_t count);

  std::span<const std::byte> rest_;
  bool ok_ = true;
};

// Big-endian, as everything in SSH. `at` must have 4 bytes.
std::uint32_t LoadU32(const std::byte* at);
void StoreU32(std::byte* at, std::uint32_t value);

}  // namespace bt::sftp
