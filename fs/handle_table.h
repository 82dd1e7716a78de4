// Numbers the kernel holds for what is open. A number is never used twice.
//
// Threading: any thread. Find() hands out a share, so that a release never takes an object away from a running request.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <utility>

#include "transport/base/sync.h"

namespace bt {

template <typename Handle, typename T>
class HandleTable {
 public:
  Handle NewHandle() {
    MutexLock lock(mutex_);
    return Handle{++last_};
  }

  void Add(Handle handle, std::shared_ptr<T> object) {
    MutexLock lock(mutex_);
    objects_.emplace(handle, std::move(object));
  }

  // Null when there is none.
  std::shared_ptr<T> Find(Handle handle) const {
    MutexLock lock(mutex_);
    const auto found = objects_.find(handle);
    return found == objects_.end() ? nullptr : found->second;
  }

  // The object leaves the table; null when it was not there.
  std::shared_ptr<T> Remove(Handle handle) {
    MutexLock lock(mutex_);
    auto node = objects_.extract(handle);
    return node.empty() ? nullptr : std::move(node.mapped());
  }

 private:
  mutable Mutex mutex_;
  std::uint64_t last_ GUARDED_BY(mutex_) = 0;
  std::unordered_map<Handle, std::shared_ptr<T>> objects_ GUARDED_BY(mutex_);
};

}  // namespace bt
