#include "cache/eviction.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <unordered_map>

#include "cache/block_file_format.h"
#include "cache/block_key.h"
#include "cache/open_blocks.h"
#include "transport/base/sync.h"

namespace bt {
namespace {

constexpr std::uint64_t kStatBlock = 512;  // what st_blocks counts
// Smaller files are not worth a look at their extents.
constexpr std::uint64_t kTrimAbove = 2 * kExtentStride;
constexpr std::time_t kLeftBehindAfter = 3600;  // seconds; making a file takes milliseconds
constexpr std::string_view kBeingMade = ".new-";

std::uint64_t DiskBytes(const struct stat& status) { return static_cast<std::uint64_t>(status.st_blocks) * kStatBlock; }

std::uint64_t DiskBytes(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 ? DiskBytes(status) : 0;
}

void ScanFolder(const std::filesystem::path& folder, std::vector<CachedFile>& found, const std::stop_token& stop) {
  std::error_code problem;
  for (std::filesystem::directory_iterator it(folder, problem), end; !problem && it != end; it.increment(problem)) {
    if (stop.stop_requested()) {
      return;
    }
    const std::string name = it->path().filename().string();
    const bool being_made = name.starts_with(kBeingMade);
    struct stat status {};
    if ((!being_made && PathPartOfBlockFileName(name).empty()) || ::lstat(it->path().c_str(), &status) != 0 ||
        !S_ISREG(status.st_mode)) {
      continue;
    }
    if (being_made) {
      if (std::time(nullptr) - status.st_mtime > kLeftBehindAfter) {
        ::unlink(it->path().c_str());
      }
      continue;
    }
    found.push_back({.file = it->path(),
                     .disk_bytes = DiskBytes(status),
                     .last_use = std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec});
  }
}

// Makes an extent absent: its checksums first, so that no reader finds a checksum without its bytes (he would only
// find that it does not verify, but then he would write). The first extent keeps the header.
bool DropExtent(int fd, std::uint64_t extent) {
  const ExtentMap none;
  const std::uint64_t skip = extent == 0 ? kGranule : 0;
  if (::pwrite(fd, &none, sizeof(none), static_cast<off_t>(MapOffset(extent))) != static_cast<ssize_t>(sizeof(none))) {
    return false;
  }
  return ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(MapOffset(extent) + skip),
                     static_cast<off_t>(kExtentStride - skip)) == 0;
}

// The extents that take space, those used longest ago first.
std::vector<std::uint64_t> ExtentsByUse(const OpenBlocks& blocks, const std::stop_token& stop) {
  std::vector<std::pair<std::uint32_t, std::uint64_t>> extents;
  off_t at = 0;
  while (!stop.stop_requested()) {
    at = ::lseek(blocks.fd(), at, SEEK_DATA);
    if (at < 0) {
      break;
    }
    const std::uint64_t extent = static_cast<std::uint64_t>(at) / kExtentStride;
    extents.emplace_back(blocks.ReadMap(extent).last_use, extent);
    at = static_cast<off_t>((extent + 1) * kExtentStride);
  }
  std::sort(extents.begin(), extents.end());
  std::vector<std::uint64_t> order;
  order.reserve(extents.size());
  for (const auto& [use, extent] : extents) {
    order.push_back(extent);
  }
  return order;
}

// Frees about `goal` bytes of one file; 0 when that cannot be done here.
std::uint64_t Trim(const CachedFile& file, std::uint64_t goal, const std::stop_token& stop) {
  const auto blocks = OpenBlocks::OpenAny(file.file);
  if (!blocks || !(*blocks)->writable()) {
    return 0;
  }
  const int fd = (*blocks)->fd();
  const std::uint64_t before = DiskBytes(fd);
  std::uint64_t now = before;
  for (const std::uint64_t extent : ExtentsByUse(**blocks, stop)) {
    if (before - std::min(before, now) >= goal || stop.stop_requested() || !DropExtent(fd, extent)) {
      break;
    }
    now = DiskBytes(fd);
  }
  // Punching is not using.
  const struct timespec last_use { .tv_sec = file.last_use / 1'000'000'000, .tv_nsec = file.last_use % 1'000'000'000 };
  const std::array<struct timespec, 2> times{last_use, last_use};
  ::futimens(fd, times.data());
  return before - std::min(before, now);
}

}  // namespace

std::vector<CachedFile> ScanBlockFiles(const std::filesystem::path& directory, const std::stop_token& stop) {
  std::vector<CachedFile> found;
  std::error_code problem;
  for (std::filesystem::directory_iterator it(directory, problem), end; !problem && it != end; it.increment(problem)) {
    std::error_code other;
    if (it->symlink_status(other).type() == std::filesystem::file_type::directory) {
      ScanFolder(it->path(), found, stop);
    }
  }
  return found;
}

void SortForEviction(std::vector<CachedFile>& files) {
  // The folder and the path's hash tell the remote file; its version used last is the one that still matters.
  const auto remote_file = [](const CachedFile& file) {
    const std::string name = file.file.filename().string();
    return (file.file.parent_path() / PathPartOfBlockFileName(name)).native();
  };
  std::unordered_map<std::string, std::int64_t> latest;
  for (const CachedFile& file : files) {
    std::int64_t& use = latest.try_emplace(remote_file(file), file.last_use).first->second;
    use = std::max(use, file.last_use);
  }
  const auto superseded = std::stable_partition(
      files.begin(), files.end(), [&](const CachedFile& file) { return file.last_use < latest.at(remote_file(file)); });
  const auto by_use = [](const CachedFile& a, const CachedFile& b) { return a.last_use < b.last_use; };
  std::sort(files.begin(), superseded, by_use);
  std::sort(superseded, files.end(), by_use);
}

std::uint64_t EvictBlocks(std::vector<CachedFile> files, std::uint64_t goal, const std::stop_token& stop) {
  SortForEviction(files);
  std::uint64_t freed = 0;
  for (const CachedFile& file : files) {
    if (freed >= goal || stop.stop_requested()) {
      break;
    }
    if (file.disk_bytes > kTrimAbove && file.disk_bytes > goal - freed) {
      const std::uint64_t trimmed = Trim(file, goal - freed, stop);
      freed += trimmed;
      if (trimmed > 0) {
        continue;
      }
    }
    if (RemoveBlockFile(file.file) == 0) {
      freed += file.disk_bytes;
    }
  }
  return freed;
}

int RemoveBlockFile(const std::filesystem::path& file) {
  const UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  if (::unlink(file.c_str()) != 0) {
    return errno;
  }
  // Who has it open finds nothing in it any more, and lets go of it when he next looks. Where it cannot be cut, its
  // space is freed only then.
  if (fd) {
    static_cast<void>(::ftruncate(fd.get(), 0));
  }
  return 0;
}

EvictionLock::EvictionLock(const std::filesystem::path& directory)
    : fd_(::open((directory / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)),
      held_(!fd_ || ::flock(fd_.get(), LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) {}

void Rest(const std::stop_token& stop, Duration duration) {
  Mutex mutex;
  CondVar never;
  const OpContext until{.deadline = Clock::now() + duration, .cancel = stop};
  MutexLock lock(mutex);
  while (until.Check()) {
    never.Wait(mutex, until);
  }
}

}  // namespace bt
