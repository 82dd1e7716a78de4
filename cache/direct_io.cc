#include "cache/direct_io.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include <fmt/format.h>

#include "transport/base/page_bytes.h"
#include "transport/base/units.h"

namespace bt {
namespace {

// Less is read at random, and may be again: the page cache is for that, and for collecting small writes.
constexpr std::uint64_t kSmallest = 128_KiB;

constexpr std::chrono::seconds kSlowFor{10};  // then one write finds out

// From linux/mman.h, which older systems have without it. The number is the same on all architectures.
constexpr long kCachestat = 451;
struct CachestatRange {
  std::uint64_t offset;
  std::uint64_t length;
};
struct Cachestat {
  std::uint64_t cached;  // pages
  std::uint64_t dirty;
  std::uint64_t writeback;
  std::uint64_t evicted;
  std::uint64_t recently_evicted;
};

// True when it cannot be told.
bool InPageCache(int fd, std::uint64_t offset, std::uint64_t length) {
  CachestatRange range{.offset = offset, .length = length};
  Cachestat found{};
  if (::syscall(kCachestat, fd, &range, &found, 0U) != 0) {
    return true;
  }
  return 2 * found.cached * kPageBytes >= length;
}

ssize_t ReadParts(int fd, std::span<const struct iovec> parts, std::uint64_t offset) {
  ssize_t got = 0;
  do {
    got = ::preadv(fd, parts.data(), static_cast<int>(parts.size()), static_cast<off_t>(offset));
  } while (got < 0 && errno == EINTR);
  return got;
}

}  // namespace

DirectIo::DirectIo(int fd, bool writable, std::chrono::milliseconds slow_write)
    : fd_(fd), writable_(writable), slow_write_(slow_write) {
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
}

bool DirectIo::Suits(const void* memory, std::size_t length, std::uint64_t offset) {
  return reinterpret_cast<std::uintptr_t>(memory) % kPageBytes == 0 && length % kPageBytes == 0 &&
         offset % kPageBytes == 0;
}

int DirectIo::Direct() {
  std::call_once(opening_, [this] {
    // A descriptor of its own for the same inode, which may have lost its name.
    const int mode = writable_ ? O_RDWR : O_RDONLY;
    direct_.Reset(::open(fmt::format("/proc/self/fd/{}", fd_).c_str(), mode | O_CLOEXEC | O_DIRECT));
    refused_ = !direct_;
  });
  return direct_.get();
}

ssize_t DirectIo::Read(std::span<const struct iovec> parts, std::uint64_t offset) {
  std::uint64_t length = 0;
  bool direct = !refused_;
  for (const struct iovec& part : parts) {
    direct = direct && Suits(part.iov_base, part.iov_len, offset);
    length += part.iov_len;
  }
  if (direct && length >= kSmallest && !InPageCache(fd_, offset, length) && Direct() >= 0) {
    const ssize_t got = ReadParts(direct_.get(), parts, offset);
    if (got >= 0 || errno != EINVAL) {
      return got;
    }
    refused_ = true;
  }
  return ReadParts(fd_, parts, offset);
}

std::size_t DirectIo::Write(std::span<const std::byte> bytes, std::uint64_t offset) {
  if (refused_ || !writable_ || bytes.size() < kSmallest || !Suits(bytes.data(), bytes.size(), offset)) {
    return 0;
  }
  const TimePoint began = Clock::now();
  if (began < slow_until_.load(std::memory_order_relaxed) || Direct() < 0) {
    return 0;
  }
  const ssize_t put = ::pwrite(direct_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
  const TimePoint ended = Clock::now();
  if (ended - began > slow_write_) {
    slow_until_ = ended + kSlowFor;
  }
  if (put < 0) {
    refused_ = refused_ || errno == EINVAL;
    return 0;
  }
  return static_cast<std::size_t>(put);
}

}  // namespace bt
