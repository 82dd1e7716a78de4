// The data types of the SSH protocol (RFC 4251 section 5) as they stand in keys, certificates and signed data, and the
// base64 they are written in.
//
// Threading: plain values and pure functions.
#pragma once

#include <openssl/crypto.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bt::ssh {

// Memory that may hold a private key: wiped whenever the vector gives it back.
template <typename T>
struct WipingAllocator {
  using value_type = T;
  WipingAllocator() = default;
  template <typename U>
  WipingAllocator(const WipingAllocator<U>&) {}  // NOLINT(google-explicit-constructor): as allocators convert

  T* allocate(std::size_t count) { return std::allocator<T>().allocate(count); }
  void deallocate(T* memory, std::size_t count) {
    OPENSSL_cleanse(memory, count * sizeof(T));
    std::allocator<T>().deallocate(memory, count);
  }
  template <typename U>
  bool operator==(const WipingAllocator<U>&) const {
    return true;
  }
};
using SecretBytes = std::vector<std::byte, WipingAllocator<std::byte>>;

// Reads from outside bytes: every getter returns nothing once the data is too short, and never reads beyond it.
class WireReader {
 public:
  explicit WireReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::optional<std::uint8_t> Byte() {
    if (bytes_.empty()) {
      return std::nullopt;
    }
    const auto value = std::to_integer<std::uint8_t>(bytes_.front());
    bytes_ = bytes_.subspan(1);
    return value;
  }
  std::optional<std::uint32_t> Uint32() {
    const std::optional<std::uint64_t> value = BigEndian(4);
    return value ? std::optional(static_cast<std::uint32_t>(*value)) : std::nullopt;
  }
  std::optional<std::uint64_t> Uint64() { return BigEndian(8); }

  // A string or an mpint: length, then that many bytes; a view of the reader's data.
  std::optional<std::span<const std::byte>> String() {
    const std::optional<std::uint32_t> length = Uint32();
    if (!length || *length > bytes_.size()) {
      return std::nullopt;
    }
    const auto value = bytes_.first(*length);
    bytes_ = bytes_.subspan(*length);
    return value;
  }
  std::optional<std::string_view> Text() {
    const auto value = String();
    return value ? std::optional(AsText(*value)) : std::nullopt;
  }

  std::span<const std::byte> rest() const { return bytes_; }

  static std::string_view AsText(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

 private:
  std::optional<std::uint64_t> BigEndian(std::size_t count) {
    if (bytes_.size() < count) {
      return std::nullopt;
    }
    std::uint64_t value = 0;
    for (const std::byte b : bytes_.first(count)) {
      value = value << 8U | std::to_integer<std::uint64_t>(b);
    }
    bytes_ = bytes_.subspan(count);
    return value;
  }

  std::span<const std::byte> bytes_;
};

void AppendString(std::vector<std::byte>& out, std::span<const std::byte> bytes);
void AppendString(std::vector<std::byte>& out, std::string_view text);
// A number without sign, given as big-endian bytes.
void AppendMpint(std::vector<std::byte>& out, std::span<const std::byte> magnitude);

// White space is skipped; nothing when the text is not base64.
std::optional<SecretBytes> DecodeBase64(std::string_view text);
std::string EncodeBase64(std::span<const std::byte> bytes);

}  // namespace bt::ssh
