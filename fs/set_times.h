// The nanoseconds of file times that programs have set through a mount. SFTP v3 carries whole seconds, but what a
// program sets it expects to read back (cp -p, make, rsync, git): so what is cut off is kept here, by path, and shown
// as long as the server's seconds are those that were set. Nothing depends on it but the fraction of a second that is
// shown.
//
// It outlives the mount in an append-only file, one record a change, written with one write(2) and never synced:
//
//   file    := magic record*             magic: the 8 bytes "btmtime1"
//   record  := length checksum body      length: u32, bytes of the body; checksum: u64, XXH3 of the body
//   body    := kind atime mtime path path     kind: u8, 1 set, 2 forgotten, 3 moved from the first path to the second
//   atime, mtime := i64 seconds, u32 nanoseconds;  path := u32 length, bytes
//
// in the byte order of the machine. Reading stops at the first record that is cut or does not match its checksum.
// Mounts of the same workspace share the file: each holds a shared flock(2) on it, and the one that opens it alone
// writes it anew, without what is outdated. It never grows beyond kMaxFileBytes; what comes later is not kept. A file
// that cannot be used is told once in the log, and then the nanoseconds are those of this mount only.
//
// Threading: any thread. The methods that change something may write to the local file; they hold no lock meanwhile.
#pragma once

#include <atomic>
#include <cstdint>
#include <ctime>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "transport/base/sync.h"
#include "transport/base/unique_fd.h"
#include "transport/remote_path.h"

namespace bt {

class SetTimes {
 public:
  static constexpr std::size_t kMaxPaths = 100'000;  // then the quarter that was set first is forgotten
  static constexpr std::uint64_t kMaxFileBytes = std::uint64_t{32} << 20U;

  struct Times {
    struct timespec atime {};
    struct timespec mtime {};
  };

  // `file`: empty for memory only; directories above it are made.
  explicit SetTimes(const std::filesystem::path& file);
  ~SetTimes() = default;
  SetTimes(const SetTimes&) = delete;
  SetTimes& operator=(const SetTimes&) = delete;

  void Set(const RemotePath& path, const Times& times);
  // Something else became of the file, or it is gone.
  void Forget(const RemotePath& path);
  // With everything below; what was at `to` is forgotten.
  void Moved(const RemotePath& from, const RemotePath& to);

  std::optional<Times> Find(const RemotePath& path) const;
  // Cheap, for the many files that nothing was set on.
  bool empty() const { return count_.load() == 0; }

 private:
  struct Entry {
    Times times;
    std::uint64_t serial = 0;  // in the order of setting
  };
  enum class Kind : std::uint8_t { kSet = 1, kForgotten = 2, kMoved = 3 };
  struct Record {
    Kind kind = Kind::kSet;
    Times times;
    std::string_view path;
    std::string_view to;
  };

  static std::string Encode(const Record& record);
  static std::optional<Record> Decode(std::string_view body);
  bool Apply(const Record& record) REQUIRES(mutex_);  // whether anything changed
  void Change(const Record& record);
  void MakeRoom() REQUIRES(mutex_);
  void Load(const std::filesystem::path& file);
  std::uint64_t Replay(std::string_view bytes, bool& whole) REQUIRES(mutex_);
  bool Rewrite(const std::filesystem::path& file) REQUIRES(mutex_);

  UniqueFd file_;  // constant after construction
  std::atomic<std::uint64_t> file_bytes_{0};
  std::atomic<std::size_t> count_{0};

  mutable Mutex mutex_;
  std::map<std::string, Entry, std::less<>> entries_ GUARDED_BY(mutex_);
  std::uint64_t next_serial_ GUARDED_BY(mutex_) = 0;
};

}  // namespace bt
