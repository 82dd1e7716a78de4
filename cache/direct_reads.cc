#include "cache/direct_reads.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "transport/base/page_bytes.h"
#include "transport/base/units.h"

namespace bt {
namespace {

// Less is read at random, and may be again: the page cache is for that.
constexpr std::uint64_t kSmallest = 128_KiB;

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

DirectReads::DirectReads(int fd) : fd_(fd) { ::posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM); }

bool DirectReads::Worthwhile(std::span<const struct iovec> parts, std::uint64_t offset) const {
  std::uint64_t length = 0;
  for (const struct iovec& part : parts) {
    if (reinterpret_cast<std::uintptr_t>(part.iov_base) % kPageBytes != 0 || part.iov_len % kPageBytes != 0) {
      return false;
    }
    length += part.iov_len;
  }
  return length >= kSmallest && offset % kPageBytes == 0 && !refused_ && !InPageCache(fd_, offset, length);
}

ssize_t DirectReads::Read(std::span<const struct iovec> parts, std::uint64_t offset) {
  if (Worthwhile(parts, offset)) {
    std::call_once(opening_, [this] {
      // A descriptor of its own for the same inode, which may have lost its name.
      direct_.Reset(::open(fmt::format("/proc/self/fd/{}", fd_).c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT));
    });
    if (direct_) {
      const ssize_t got = ReadParts(direct_.get(), parts, offset);
      if (got >= 0 || errno != EINVAL) {
        return got;
      }
    }
    refused_ = true;
  }
  return ReadParts(fd_, parts, offset);
}

}  // namespace bt
