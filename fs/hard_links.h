// The names of one file that were linked from here. Each has an inode of its own; this is how they tell each other that
// the file was changed.
//
// Threading: any thread. A leaf: never calls out.
#pragma once

#include <memory>
#include <vector>

#include "transport/base/op_context.h"
#include "transport/base/sync.h"

namespace bt {

class Inode;

class HardLinks {
 public:
  void Add(const std::shared_ptr<Inode>& name);
  // The file was last changed through this name then, and whether the server has all of it.
  void Changed(const Inode& name, TimePoint then, bool acknowledged);
  // When it was last changed through another name; now, while the server does not have all of that.
  TimePoint ChangedElsewhere(const Inode& name) const;
  // Those that are still known.
  std::vector<std::shared_ptr<Inode>> OtherNames(const Inode& name) const;

 private:
  struct Member {
    const Inode* id;  // to compare with
    std::weak_ptr<Inode> inode;
    TimePoint changed = TimePoint::min();
    bool acknowledged = true;
  };

  mutable Mutex mutex_;
  std::vector<Member> names_ GUARDED_BY(mutex_);
};

}  // namespace bt
