// Tells whether a path still leads to the file that it led to, as far as changes from this machine go.
//
// A block belongs to a path and a version, and a version is a size and a time: renaming, linking and setting times can
// put other bytes under the same three. So each path has an epoch, which such a change ends: of the path itself, and of
// everything below a directory that is moved, at the price of one small write. Epochs lie in a file beside the blocks,
// so that all mounts of a workspace, and later ones, know the same.
//
// The rule: ask Of(path) before a file is opened by that path, and again when it is open. Twice the same answer means
// that what was opened is of this epoch, whatever was renamed meanwhile and by whom. FORMAT.md has the bytes.
//
// Threading: any thread. Of() and Begin() take microseconds: a few small reads or writes of a local file. A change of a
// directory waits until the disk has it.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "transport/base/result.h"
#include "transport/base/sync.h"
#include "transport/base/unique_fd.h"
#include "transport/remote_path.h"

namespace bt {

// The name of the table in a workspace's folder.
inline constexpr const char* kEpochTable = "epochs";

class PathEpochs {
 public:
  using Epoch = std::uint64_t;
  using OnFailure = std::function<void(const Error&)>;

  // In `file`, which is made when it is missing, now or later. Never fails: what cannot be known is not told, and
  // `failed` hears why, perhaps often.
  PathEpochs(std::filesystem::path file, OnFailure failed);
  // Of this object alone.
  PathEpochs();

  // Nothing while the path, or a directory above it, is being changed, and when it cannot be told.
  std::optional<Epoch> Of(const RemotePath& path) const;

  // While it lives the paths have no epoch; afterwards they have another one. Ends with its process, too.
  class Change {
   public:
    Change(Change&&) noexcept = default;
    Change& operator=(Change&&) noexcept = default;
    Change(const Change&) = delete;
    Change& operator=(const Change&) = delete;
    ~Change() = default;

   private:
    friend class PathEpochs;
    Change() = default;
    UniqueFd fd_;  // closing it gives the locks back
    std::vector<off_t> slots_;
  };
  enum class Kind { kFile, kTree };  // only the path itself, or what is below as well
  [[nodiscard]] Change Begin(const std::vector<RemotePath>& paths, Kind kind);
  // Nobody knows whether the change was made, or will be: the paths have no epoch as long as this object lives.
  void LeaveInDoubt(const Change& change);

 private:
  struct Table {
    UniqueFd fd;
    std::uint64_t salt = 0;
  };
  std::shared_ptr<const Table> Opened() const;
  Result<UniqueFd> OpenAgain() const;
  void Lost(const Error& error);

  const std::filesystem::path file_;  // empty: in memory
  const OnFailure failed_;
  std::atomic<bool> lost_{false};  // a change could not be noted: from then on nothing is known

  mutable Mutex mutex_;
  mutable std::shared_ptr<const Table> table_ GUARDED_BY(mutex_);
  UniqueFd doubts_ GUARDED_BY(mutex_);  // holds the locks of what is in doubt
};

}  // namespace bt
