// One open directory: a snapshot of its entries, taken when it is first read and again after a rewind, so that offsets
// mean the same entry however the directory changes meanwhile.
//
// Threading: any thread; a snapshot is immutable and shared by running requests.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "fs/inode_table.h"
#include "transport/attributes.h"
#include "transport/base/sync.h"

namespace bt {

class OpenDir {
 public:
  struct Snapshot {
    TimePoint asked_at;  // before the server was asked
    std::vector<DirEntry> entries;
  };

  explicit OpenDir(InodePin pin) : pin_(std::move(pin)) {}
  ~OpenDir() = default;
  OpenDir(const OpenDir&) = delete;
  OpenDir& operator=(const OpenDir&) = delete;

  Inode& inode() const { return *pin_.inode(); }

  // Null before the first read.
  std::shared_ptr<const Snapshot> snapshot() const {
    MutexLock lock(mutex_);
    return snapshot_;
  }
  void SetSnapshot(std::shared_ptr<const Snapshot> snapshot) {
    MutexLock lock(mutex_);
    snapshot_.swap(snapshot);
  }

 private:
  const InodePin pin_;
  mutable Mutex mutex_;
  std::shared_ptr<const Snapshot> snapshot_ GUARDED_BY(mutex_);
};

}  // namespace bt
