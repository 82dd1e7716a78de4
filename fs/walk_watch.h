// Tells when programs walk through the tree (find, ls -R, git status, rsync): directories that lie beside or below each
// other are looked into one shortly after the other. And how far ahead of a walk it is worth to list: a little at
// first, more for every directory that was listed ahead and then looked into, less when some were listed for nothing.
//
// Threading: one at a time; the owner locks. Times are the caller's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "fs/filesystem.h"

namespace bt {

class WalkWatch {
 public:
  enum class Look {
    kOpened,    // opendir: is about to be listed
    kLookedUp,  // a name was looked up in it
  };
  // A program looks into `directory`, which lies in `parent`. True when that is a step of a walk.
  bool Visited(InodeNo directory, std::optional<InodeNo> parent, Look look, TimePoint now);

  // Whether a step was made lately.
  bool alive(TimePoint now) const { return now < alive_until_; }
  // How many directories may be listed ahead and not yet looked into.
  std::size_t window() const { return window_; }
  // Totals: of those listed ahead, how many were looked into and how many were too old before that.
  void Outcome(std::uint64_t used, std::uint64_t wasted);

 private:
  struct Visit {
    InodeNo directory{};
    std::optional<InodeNo> parent;
    Look look = Look::kOpened;
    TimePoint at;
  };

  std::deque<Visit> recent_;  // the latest last
  TimePoint alive_until_ = TimePoint::min();
  std::size_t window_ = 0;
  std::uint64_t used_ = 0;
  std::uint64_t wasted_ = 0;
};

}  // namespace bt
