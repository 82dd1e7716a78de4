// Bytes of memory that live as long as somebody holds them: what a read hands out without copying it.
//
// Threading: as std::shared_ptr.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

namespace bt {

struct SharedBytes {
  std::shared_ptr<const std::byte[]> owner;
  std::span<const std::byte> bytes;
};

// In order, one behind the other.
using SharedPieces = std::vector<SharedBytes>;

inline std::size_t SizeOf(const SharedPieces& pieces) {
  std::size_t size = 0;
  for (const SharedBytes& piece : pieces) {
    size += piece.bytes.size();
  }
  return size;
}

}  // namespace bt
