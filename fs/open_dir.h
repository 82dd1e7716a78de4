// One open directory: a snapshot of its entries, taken when it is first read and again after a rewind, so that offsets
// mean the same entry however the directory changes meanwhile.
//
// Threading: any thread; a snapshot is immutable and shared by running requests.
#pragma once

#include <optional>
#include <utility>

#include "fs/directory_cache.h"
#include "fs/inode_table.h"
#include "transport/base/sync.h"

namespace bt {

class OpenDir {
 public:
  using Snapshot = DirectoryCache::Snapshot;

  explicit OpenDir(InodePin pin) : pin_(std::move(pin)) {}
  ~OpenDir() = default;
  OpenDir(const OpenDir&) = delete;
  OpenDir& operator=(const OpenDir&) = delete;

  Inode& inode() const { return *pin_.inode(); }

  // Nothing before the first read.
  std::optional<Snapshot> snapshot() const {
    MutexLock lock(mutex_);
    return snapshot_;
  }
  void SetSnapshot(std::optional<Snapshot> snapshot) {
    MutexLock lock(mutex_);
    snapshot_.swap(snapshot);
  }

 private:
  const InodePin pin_;
  mutable Mutex mutex_;
  std::optional<Snapshot> snapshot_ GUARDED_BY(mutex_);
};

}  // namespace bt
