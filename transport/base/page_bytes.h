// Memory for bytes that a disk may put there itself: direct I/O asks for aligned addresses.
//
// Threading: as of any memory. Not initialized.
#pragma once

#include <cstddef>
#include <memory>

namespace bt {

// The coarsest alignment that disks and filesystems in use ask for.
inline constexpr std::size_t kPageBytes = 4096;

struct FreePageBytes {
  std::byte* whole = nullptr;
  void operator()(std::byte* /*aligned*/) const noexcept { delete[] whole; }
};
using PageBytes = std::unique_ptr<std::byte[], FreePageBytes>;

inline PageBytes MakePageBytes(std::size_t size) {
  // Aligned by hand: glibc's aligned allocation splits its blocks, and the heap grows to four times of what it is when
  // many threads take and give back a megabyte at a time.
  std::size_t room = size + kPageBytes;
  std::byte* const whole = std::make_unique_for_overwrite<std::byte[]>(room).release();
  void* aligned = whole;
  return PageBytes(static_cast<std::byte*>(std::align(kPageBytes, size, aligned, room)), FreePageBytes{whole});
}

}  // namespace bt
