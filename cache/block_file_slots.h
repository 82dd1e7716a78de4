// Bounds how many block files are open at a time: a mount may know 100,000 of them, and a process has few descriptors.
//
// Threading: any thread.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>

#include "cache/open_blocks.h"
#include "transport/base/sync.h"

namespace bt {

// Where a BlockFile keeps its open file.
struct BlockFileSlot {
  Mutex mutex;
  std::shared_ptr<OpenBlocks> blocks GUARDED_BY(mutex);

  std::shared_ptr<OpenBlocks> Get() {
    MutexLock lock(mutex);
    return blocks;
  }
  // Returns what was there, to be closed without the lock.
  std::shared_ptr<OpenBlocks> Put(std::shared_ptr<OpenBlocks> next) {
    MutexLock lock(mutex);
    blocks.swap(next);
    return next;
  }
};

class BlockFileSlots {
 public:
  explicit BlockFileSlots(std::size_t most) : most_(most) {}

  // The slot was filled. Empties the one filled longest ago when there are too many.
  void Filled(const std::shared_ptr<BlockFileSlot>& slot);

 private:
  const std::size_t most_;
  Mutex mutex_;
  std::deque<std::weak_ptr<BlockFileSlot>> filled_ GUARDED_BY(mutex_);
};

}  // namespace bt
