#include "cache/path_epochs.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "cache/open_blocks.h"

namespace bt {
namespace {

// So many that renaming 10,000 files costs a file that is cached its blocks with a chance of 4 %.
constexpr std::uint64_t kSlots = 1U << 18U;
constexpr off_t kSlotBytes = 8;
constexpr off_t kTableBytes = kSlotBytes * static_cast<off_t>(kSlots + 1);  // the salt is the first

// Directories and files have slots of their own, so that a path is touched by what happens to its directories and to
// itself, and by files elsewhere only as rarely as can be.
off_t SlotOf(std::string_view path, PathEpochs::Kind kind) {
  const std::uint64_t hash = XXH3_64bits_withSeed(path.data(), path.size(), kind == PathEpochs::Kind::kTree ? 1 : 0);
  return kSlotBytes * static_cast<off_t>(1 + hash % kSlots);
}

std::vector<off_t> SlotsAbove(const RemotePath& path) {
  const std::string_view text = path.text();
  std::vector<off_t> slots{SlotOf(text, PathEpochs::Kind::kFile)};
  for (std::size_t slash = text.find('/', 1); slash != std::string_view::npos; slash = text.find('/', slash + 1)) {
    slots.push_back(SlotOf(text.substr(0, slash), PathEpochs::Kind::kTree));
  }
  return slots;
}

std::optional<std::uint64_t> ReadSlot(int fd, off_t slot) {
  std::uint64_t value = 0;
  if (::pread(fd, &value, sizeof(value), slot) != static_cast<ssize_t>(sizeof(value))) {
    return std::nullopt;
  }
  return value;
}

bool WriteSlot(int fd, off_t slot, std::uint64_t value) {
  return ::pwrite(fd, &value, sizeof(value), slot) == static_cast<ssize_t>(sizeof(value));
}

// Locks belong to an open file description, so that they hold between threads as well and go with their process.
struct flock LockOf(off_t slot, short type) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = slot;
  lock.l_len = kSlotBytes;
  return lock;
}

// Changes of one path do not exclude each other, so all of them lock as readers do.
bool Lock(int fd, off_t slot) {
  struct flock lock = LockOf(slot, F_RDLCK);
  return ::fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

bool IsFree(int fd, off_t slot) {
  struct flock lock = LockOf(slot, F_WRLCK);
  return ::fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_UNLCK;
}

// 0 or the errno. All of its space is taken now: noting a change must not fail because the disk is full.
int Fill(int fd) {
  if (const int problem = ::posix_fallocate(fd, 0, kTableBytes); problem != 0) {
    return problem;
  }
  return WriteSlot(fd, 0, RandomNumber() | 1U) ? 0 : EIO;
}

// It appears under its name as a whole, or not at all.
int Make(const std::filesystem::path& file) {
  const std::filesystem::path folder = file.parent_path();
  MakeWorkspaceFolder(folder);
  const std::filesystem::path made = folder / fmt::format(".new-{}-{:x}", ::getpid(), RandomNumber());
  const UniqueFd fd(::open(made.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  int problem = fd ? Fill(fd.get()) : errno;
  if (problem == 0) {
    problem = RenameToFreeName(made, file);
  }
  if (problem != 0) {
    ::unlink(made.c_str());
  }
  return problem == EEXIST ? 0 : problem;
}

UniqueFd OpenTable(const std::filesystem::path& file) {
  UniqueFd fd(::open(file.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!fd && errno != ENOENT) {
    fd.Reset(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));  // a disk that became read-only
  }
  return fd;
}

}  // namespace

PathEpochs::PathEpochs(std::filesystem::path file, OnFailure failed)
    : file_(std::move(file)), failed_(std::move(failed)) {}

PathEpochs::PathEpochs() {
  auto table = std::make_shared<Table>();
  table->fd.Reset(::memfd_create("bt-mount-epochs", MFD_CLOEXEC));
  table->salt = 1;
  if (!table->fd || ::ftruncate(table->fd.get(), kTableBytes) != 0) {
    lost_ = true;
  }
  MutexLock lock(mutex_);
  table_ = std::move(table);
}

std::shared_ptr<const PathEpochs::Table> PathEpochs::Opened() const {
  MutexLock lock(mutex_);
  struct stat status {};
  if (table_ != nullptr && (file_.empty() || (::fstat(table_->fd.get(), &status) == 0 && status.st_nlink > 0))) {
    return table_;
  }
  table_.reset();
  auto table = std::make_shared<Table>();
  table->fd = OpenTable(file_);
  if (!table->fd) {
    if (const int problem = Make(file_); problem != 0) {
      failed_(CacheError(problem, "make", file_));
      return nullptr;
    }
    table->fd = OpenTable(file_);
  }
  const auto salt = table->fd ? ReadSlot(table->fd.get(), 0) : std::nullopt;
  if (!salt || *salt == 0 || ::fstat(table->fd.get(), &status) != 0 || status.st_size != kTableBytes) {
    // Damaged: what it knew is lost, so its successor has another salt and no epoch is as before.
    if (table->fd) {
      ::unlink(file_.c_str());
    }
    return nullptr;
  }
  table->salt = *salt;
  table_ = table;
  return table;
}

std::optional<PathEpochs::Epoch> PathEpochs::Of(const RemotePath& path) const {
  const auto table = lost_ ? nullptr : Opened();
  if (table == nullptr) {
    return std::nullopt;
  }
  std::vector<std::uint64_t> values{table->salt};
  const std::vector<off_t> slots = SlotsAbove(path);
  for (const off_t slot : slots) {
    const auto value = ReadSlot(table->fd.get(), slot);
    // Looked at in this order: a change that wrote this value has ended when there is no lock afterwards.
    if (!value || !IsFree(table->fd.get(), slot)) {
      return std::nullopt;
    }
    values.push_back(*value);
  }
  return XXH3_64bits(values.data(), values.size() * sizeof(values.front()));
}

Result<UniqueFd> PathEpochs::OpenAgain() const {
  const auto table = Opened();
  if (table == nullptr) {
    return Error{Code::kFailure, "there is no table of epochs", "cache.epochs"};
  }
  // The same file in any case, also when somebody has just put another one in its place.
  UniqueFd fd(::open(fmt::format("/proc/self/fd/{}", table->fd.get()).c_str(), O_RDWR | O_CLOEXEC));
  if (!fd) {
    return CacheError(errno, "open", file_);
  }
  return fd;
}

PathEpochs::Change PathEpochs::Begin(const std::vector<RemotePath>& paths, Kind kind) {
  Change change;
  Result<UniqueFd> fd = OpenAgain();
  if (!fd.ok()) {
    Lost(fd.error());
    return change;
  }
  change.fd_ = std::move(*fd);
  for (const RemotePath& path : paths) {
    change.slots_.push_back(SlotOf(path.text(), Kind::kFile));
    if (kind == Kind::kTree) {
      change.slots_.push_back(SlotOf(path.text(), Kind::kTree));
    }
  }
  for (const off_t slot : change.slots_) {
    if (!Lock(change.fd_.get(), slot) || !WriteSlot(change.fd_.get(), slot, RandomNumber())) {
      Lost(CacheError(errno, "write", file_));
      return change;
    }
  }
  // What a crash of the machine may undo of one file is the last half a minute; of a tree it must not be anything.
  if (kind == Kind::kTree && !file_.empty() && ::fdatasync(change.fd_.get()) != 0) {
    Lost(CacheError(errno, "write", file_));
  }
  return change;
}

void PathEpochs::LeaveInDoubt(const Change& change) {
  MutexLock lock(mutex_);
  if (!doubts_ && change.fd_) {
    doubts_.Reset(::open(fmt::format("/proc/self/fd/{}", change.fd_.get()).c_str(), O_RDWR | O_CLOEXEC));
  }
  for (const off_t slot : change.slots_) {
    if (!doubts_ || !Lock(doubts_.get(), slot)) {
      lost_ = true;
    }
  }
}

void PathEpochs::Lost(const Error& error) {
  lost_ = true;
  if (failed_) {
    failed_(error);
  }
}

}  // namespace bt
