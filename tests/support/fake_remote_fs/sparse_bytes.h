// The content of a file with holes: only blocks that were written take memory, whatever the size says.
//
// Threading: one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

namespace bt {

class SparseBytes {
 public:
  std::uint64_t size() const { return size_; }

  // Bytes copied to `out`: fewer than asked only at the end. Holes read as zeros.
  std::size_t Read(std::uint64_t offset, std::span<std::byte> out) const;

  // `offset` + the number of bytes must fit in 63 bits; the caller has checked.
  void Write(std::uint64_t offset, std::span<const std::byte> bytes);

  // Growing makes a hole; what was cut off does not come back when the file grows again.
  void Resize(std::uint64_t size);

  // Memory held for content, in bytes.
  std::size_t allocated() const;

 private:
  static constexpr std::uint64_t kBlock = 65536;

  // A block is as long as its last written byte; the rest of it is zeros.
  std::map<std::uint64_t, std::vector<std::byte>> blocks_;
  std::uint64_t size_ = 0;
};

}  // namespace bt
