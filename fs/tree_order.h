// Tells when a program reads the files of one directory after those of another (grep -r, git, rsync), by name or in the
// order of the listings, and which directories come next: those below, then those beside, then those beside the ones
// above. Only such whose listing is known.
//
// Threading: any thread. Times are the caller's.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "fs/inode_table.h"
#include "fs/listing.h"
#include "transport/base/sync.h"

namespace bt {

class TreeOrder {
 public:
  // What memory knows of the tree. Called without a lock held.
  struct Tree {
    std::function<std::shared_ptr<const Listing>(InodeNo directory)> listing;              // null: not known
    std::function<std::optional<InodeTable::Place>(InodeNo directory)> place;              // nothing: the root
    std::function<std::optional<InodeNo>(InodeNo parent, const Name& name)> subdirectory;  // nothing: not known
  };
  explicit TreeOrder(Tree tree) : tree_(std::move(tree)) {}

  // A file of the directory was opened. Directories of which all small files are to be fetched, itself among them, each
  // only once; none while there is no order. A few at first, more while it goes on, up to a few hundred files.
  struct Next {
    InodeNo directory{};
    std::shared_ptr<const Listing> listing;
  };
  std::vector<Next> Used(InodeNo directory, TimePoint now);

 private:
  struct Way {
    InodeNo last{};
    TimePoint at = TimePoint::min();
    unsigned run = 0;
    bool by_name = true;
  };

  // Whether one comes to `to` from `from` without leaving what lies below a few directories above.
  bool Near(InodeNo from, InodeNo to) const;
  bool ByName(InodeNo from, InodeNo to, bool so_far) const;
  // Those in `parent` that come after the name, all without one, each with what lies below it, up to `count` in all,
  // and no more once they have enough files.
  void AddChildren(InodeNo parent, const Name* after, bool by_name, std::size_t count, std::vector<Next>& next) const;

  const Tree tree_;
  Mutex mutex_;
  Way way_ GUARDED_BY(mutex_);
  std::unordered_set<InodeNo> told_ GUARDED_BY(mutex_);
};

}  // namespace bt
