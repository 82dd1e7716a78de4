// Reads and writes of a local file that leave the kernel's page cache alone where it does not hold the bytes anyway.
//
// What goes to a reader is kept by the kernel as pages of the mount. A second copy, as pages of the block file, would
// halve what memory can hold. Making it costs more than all else in reading from the disk, and a quarter of all the
// work in fetching.
//
// Linux: O_DIRECT, and cachestat(2) (since 6.5) to see what the page cache holds. Where one of them is missing, reads
// go through the page cache; where the first is, writes do.
//
// Threading: any thread.
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>

#include "transport/base/op_context.h"
#include "transport/base/unique_fd.h"

namespace bt {

class DirectIo {
 public:
  // A disk that is slower than the network must not hold up the threads that fetch: after a write that took longer than
  // this, the page cache gets the next ones, and the kernel the time. In it is the wait for other writers of the file,
  // whom most filesystems let in one by one.
  static constexpr std::chrono::milliseconds kSlowWrite{100};

  // Of the file that `fd` is open for, which must live longer. The kernel no longer reads ahead through it: what will
  // be wanted next is known better here (read_ahead.h).
  DirectIo(int fd, bool writable, std::chrono::milliseconds slow_write = kSlowWrite);

  // preadv(2); not interrupted by signals. Blocks on the disk.
  ssize_t Read(std::span<const struct iovec> parts, std::uint64_t offset);

  // How many of the bytes, from the first on, the disk has got. The others are for the page cache: they do not suit,
  // the disk is slow at the moment, or it has a reason that pwrite(2) will tell. Blocks on the disk.
  std::size_t Write(std::span<const std::byte> bytes, std::uint64_t offset);

 private:
  static bool Suits(const void* memory, std::size_t length, std::uint64_t offset);
  int Direct();  // the descriptor; -1 where the filesystem does not know such I/O

  const int fd_;
  const bool writable_;
  const std::chrono::milliseconds slow_write_;
  std::once_flag opening_;
  UniqueFd direct_;  // once opened
  std::atomic<bool> refused_{false};
  std::atomic<TimePoint> slow_until_{TimePoint::min()};
};

}  // namespace bt
