#include "cache/open_blocks.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <random>

#include <fmt/format.h>

namespace bt {
namespace {

constexpr int kAnyError = EIO;
constexpr std::uint32_t kUseIsNewsAfter = 10;  // seconds; one small write per extent in this time

// Reads until `size` bytes are there or the file ends; -1 and errno when it fails.
ssize_t ReadAll(int fd, void* to, std::size_t size, std::uint64_t offset) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t got = ::pread(fd, static_cast<char*>(to) + done, size - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return -1;
    }
    if (got == 0) {
      break;
    }
    done += static_cast<std::size_t>(got);
  }
  return static_cast<ssize_t>(done);
}

// 0 or the errno.
int WriteAll(int fd, const void* from, std::size_t size, std::uint64_t offset) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t put =
        ::pwrite(fd, static_cast<const char*>(from) + done, size - done, static_cast<off_t>(offset + done));
    if (put < 0 && errno == EINTR) {
      continue;
    }
    if (put <= 0) {
      return put < 0 ? errno : kAnyError;
    }
    done += static_cast<std::size_t>(put);
  }
  return 0;
}

Status Written(int problem) {
  if (problem != 0) {
    return CacheError(problem, "write", "a block file");
  }
  return {};
}

std::optional<BlockHeader> ReadHeader(int fd) {
  // Most headers end within the first page.
  for (const std::uint64_t end : {std::uint64_t{4096}, kGranule}) {
    std::vector<std::byte> bytes(end - kHeaderOffset);
    const ssize_t got = ReadAll(fd, bytes.data(), bytes.size(), kHeaderOffset);
    if (got <= 0) {
      return std::nullopt;
    }
    if (auto header = DecodeHeader(std::span(bytes).first(static_cast<std::size_t>(got)))) {
      return header;
    }
  }
  return std::nullopt;
}

}  // namespace

Error CacheError(int problem, std::string_view what, const std::filesystem::path& file) {
  Code code = Code::kFailure;
  switch (problem) {
    case ENOENT:
    case ENOTDIR:
      code = Code::kNotFound;
      break;
    case ENOSPC:
      code = Code::kNoSpace;
      break;
    case EDQUOT:
      code = Code::kQuota;
      break;
    case EROFS:
      code = Code::kReadOnly;
      break;
    case EEXIST:
      code = Code::kExists;
      break;
    case EFBIG:
      code = Code::kTooBig;
      break;
    case ENAMETOOLONG:
      code = Code::kNameTooLong;
      break;
    default:
      break;
  }
  return Error{code, fmt::format("cannot {} {}: {}", what, file.string(), SystemText(problem)), "cache.disk"};
}

int RenameToFreeName(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) {
    return 0;
  }
  if (errno != EINVAL && errno != ENOSYS) {
    return errno;
  }
  return ::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

void MakeWorkspaceFolder(const std::filesystem::path& folder) {
  ::mkdir(folder.parent_path().c_str(), 0700);
  ::mkdir(folder.c_str(), 0700);
}

std::uint64_t RandomNumber() {
  std::random_device device;
  return (std::uint64_t{device()} << 32U) ^ device();
}

OpenBlocks::OpenBlocks(UniqueFd fd, bool writable, BlockHeader header)
    : fd_(std::move(fd)), writable_(writable), header_(std::move(header)), direct_(fd_.get(), writable) {}

Result<std::shared_ptr<OpenBlocks>> OpenBlocks::OpenAny(const std::filesystem::path& file) {
  bool writable = true;
  UniqueFd fd(::open(file.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!fd && (errno == EROFS || errno == EACCES || errno == EPERM)) {
    // What is in a cache that became read-only is still good.
    writable = false;
    fd.Reset(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  }
  if (!fd) {
    return CacheError(errno, "open", file);
  }
  auto header = ReadHeader(fd.get());
  if (!header) {
    return Error{Code::kInvalid, fmt::format("{} has no valid header", file.string()), "cache.header"};
  }
  return std::shared_ptr<OpenBlocks>(new OpenBlocks(std::move(fd), writable, std::move(*header)));
}

Result<std::shared_ptr<OpenBlocks>> OpenBlocks::Open(const std::filesystem::path& file, const BlockKey& key) {
  auto blocks = OpenAny(file);
  if (blocks ? (*blocks)->key() == key : blocks.error().code != Code::kInvalid) {
    return blocks;
  }
  if (::unlink(file.c_str()) != 0) {
    return CacheError(errno, "remove the unusable", file);
  }
  return CacheError(ENOENT, "open", file);
}

Result<std::shared_ptr<OpenBlocks>> OpenBlocks::OpenOrCreate(const std::filesystem::path& file, const BlockKey& key) {
  constexpr int kAttempts = 3;  // another process may remove what we found, or make what we did not find
  for (int attempt = 1;; ++attempt) {
    auto blocks = Open(file, key);
    if (blocks || blocks.error().code != Code::kNotFound) {
      return blocks;
    }
    blocks = Create(file, key);
    if (blocks || attempt == kAttempts ||
        (blocks.error().code != Code::kExists && blocks.error().code != Code::kNotFound)) {
      return blocks;
    }
  }
}

// The file appears under its name with its whole header, or not at all: it is made under another name.
Result<std::shared_ptr<OpenBlocks>> OpenBlocks::Create(const std::filesystem::path& file, const BlockKey& key) {
  static std::atomic<unsigned> counter{0};
  const std::filesystem::path folder = file.parent_path();
  const std::filesystem::path made = folder / fmt::format(".new-{}-{}", ::getpid(), counter++);
  const auto open_new = [&made] {
    return UniqueFd(::open(made.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  };
  UniqueFd fd = open_new();
  if (!fd && errno == ENOENT) {
    MakeWorkspaceFolder(folder);
    fd = open_new();
  }
  if (!fd) {
    return CacheError(errno, "make a file in", folder);
  }
  BlockHeader header{.salt = RandomNumber(), .key = key};
  const std::vector<std::byte> bytes = EncodeHeader(header);
  int problem = bytes.empty() ? ENAMETOOLONG : WriteAll(fd.get(), bytes.data(), bytes.size(), kHeaderOffset);
  if (problem == 0) {
    problem = RenameToFreeName(made, file);
  }
  if (problem != 0) {
    ::unlink(made.c_str());
    return CacheError(problem, "make", file);
  }
  return std::shared_ptr<OpenBlocks>(new OpenBlocks(std::move(fd), true, std::move(header)));
}

bool OpenBlocks::alive() const {
  struct stat status {};
  return ::fstat(fd_.get(), &status) == 0 && status.st_nlink > 0 &&
         static_cast<std::uint64_t>(status.st_size) > kHeaderOffset;
}

ExtentMap OpenBlocks::ReadMap(std::uint64_t extent) const {
  ExtentMap map;
  if (ReadAll(fd_.get(), &map, sizeof(map), MapOffset(extent)) != static_cast<ssize_t>(sizeof(map))) {
    return ExtentMap{};
  }
  return map;
}

OpenBlocks::ReadOutcome OpenBlocks::ReadVerified(const ExtentMap& map, std::uint64_t first, std::uint64_t run,
                                                 std::uint64_t offset, std::span<std::byte> out) const {
  // Granules that `out` covers in part are read whole, beside it.
  std::array<std::byte, kGranule> head;  // NOLINT(cppcoreguidelines-pro-type-member-init): written by preadv
  std::array<std::byte, kGranule> tail;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  const std::uint64_t last = first + run - 1;
  const std::uint64_t end = std::min(offset + out.size(), last * kGranule + GranuleBytes(last, size()));
  const auto is_whole = [&](std::uint64_t granule) {
    return granule * kGranule >= offset && granule * kGranule + GranuleBytes(granule, size()) <= end;
  };
  const auto place_of = [&](std::uint64_t granule) -> std::span<std::byte> {
    const std::uint64_t bytes = GranuleBytes(granule, size());
    if (is_whole(granule)) {
      return out.subspan(granule * kGranule - offset, bytes);
    }
    return std::span(granule == first ? head : tail).first(bytes);
  };

  std::array<struct iovec, 3> parts{};
  std::size_t count = 0;
  const auto add = [&](std::span<std::byte> place) {
    if (count > 0) {
      struct iovec& before = parts.at(count - 1);
      if (static_cast<std::byte*>(before.iov_base) + before.iov_len == place.data()) {
        before.iov_len += place.size();
        return;
      }
    }
    parts.at(count++) = {.iov_base = place.data(), .iov_len = place.size()};
  };
  for (std::uint64_t granule = first; granule <= last; ++granule) {
    add(place_of(granule));
  }
  const ssize_t got = direct_.Read(std::span(parts).first(count), BytesOffset(first));
  if (got < 0) {
    return {.problem = errno};
  }
  auto readable = static_cast<std::uint64_t>(got);
  for (std::uint64_t granule = first; granule <= last; ++granule) {
    const std::span<const std::byte> bytes = place_of(granule);
    const std::uint64_t checksum = map.checksums.at(granule % kExtentGranules);
    if (readable < bytes.size() || GranuleChecksum(salt(), granule, bytes) != checksum) {
      return {.good = std::max(offset, granule * kGranule) - offset, .bad = Forget(granule, checksum)};
    }
    readable -= bytes.size();
    if (!is_whole(granule)) {
      const std::uint64_t begin = std::max(offset, granule * kGranule);
      const std::uint64_t stop = std::min(end, granule * kGranule + bytes.size());
      std::memcpy(out.data() + (begin - offset), bytes.data() + (begin - granule * kGranule), stop - begin);
    }
  }
  return {.good = end - offset};
}

Status OpenBlocks::WriteBytes(std::uint64_t granule, std::span<const std::byte> bytes) const {
  const std::size_t done = direct_.Write(bytes, BytesOffset(granule));
  bytes = bytes.subspan(done);
  return Written(WriteAll(fd_.get(), bytes.data(), bytes.size(), BytesOffset(granule) + done));
}

Status OpenBlocks::WriteChecksums(std::uint64_t granule, std::span<const std::uint64_t> checksums) const {
  return Written(WriteAll(fd_.get(), checksums.data(), checksums.size_bytes(), ChecksumOffset(granule)));
}

void OpenBlocks::NoteUse(std::uint64_t extent, const ExtentMap& map) const {
  const auto now = static_cast<std::uint32_t>(std::time(nullptr));
  if (writable_ && (map.last_use > now || now - map.last_use >= kUseIsNewsAfter)) {
    WriteAll(fd_.get(), &now, sizeof(now), MapOffset(extent));
  }
}

bool OpenBlocks::Forget(std::uint64_t granule, std::uint64_t checksum) const {
  std::uint64_t current = 0;
  if (ReadAll(fd_.get(), &current, sizeof(current), ChecksumOffset(granule)) != static_cast<ssize_t>(sizeof(current)) ||
      current != checksum) {
    return false;
  }
  if (writable_) {
    current = 0;
    WriteAll(fd_.get(), &current, sizeof(current), ChecksumOffset(granule));
  }
  return true;
}

Status OpenBlocks::BecomeVersion(const BlockKey& key) const {
  const std::vector<std::byte> bytes = EncodeHeader({.salt = salt(), .key = key});
  if (size() % kGranule != 0) {
    const std::uint64_t none = 0;
    TRY(WriteChecksums(size() / kGranule, std::span(&none, 1)));
  }
  return Written(WriteAll(fd_.get(), bytes.data(), bytes.size(), kHeaderOffset));
}

}  // namespace bt
