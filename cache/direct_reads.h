// Reads of a local file that leave the kernel's page cache alone where it does not hold the bytes anyway.
//
// What goes to a reader is kept by the kernel as pages of the mount. A second copy, as pages of the block file, would
// halve what memory can hold, and making it costs more than all else in such a read.
//
// Linux: O_DIRECT, and cachestat(2) (since 6.5) to see what the page cache holds. Where one of them is missing, all
// reads go through the page cache.
//
// Threading: any thread.
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <span>

#include "transport/base/unique_fd.h"

namespace bt {

class DirectReads {
 public:
  // Of the file that `fd` is open for, which must live longer. The kernel no longer reads ahead through it: what will
  // be wanted next is known better here (read_ahead.h).
  explicit DirectReads(int fd);

  // preadv(2); not interrupted by signals. Blocks on the disk.
  ssize_t Read(std::span<const struct iovec> parts, std::uint64_t offset);

 private:
  bool Worthwhile(std::span<const struct iovec> parts, std::uint64_t offset) const;

  const int fd_;
  std::once_flag opening_;
  UniqueFd direct_;  // once opened; none where the filesystem does not know such reads
  std::atomic<bool> refused_{false};
};

}  // namespace bt
