// Renames that are on their way to the server. Until the answer is here nobody can tell which path is the right one, so
// a request that found nothing at a path below such a rename waits for its end and looks again.
//
// Threading: any thread.
#pragma once

#include <algorithm>
#include <list>

#include "transport/base/sync.h"
#include "transport/remote_path.h"

namespace bt {

class RenamesInFlight {
 public:
  class Mark {
   public:
    Mark(RenamesInFlight& renames, const RemotePath& from) : renames_(renames) {
      MutexLock lock(renames_.mutex_);
      at_ = renames_.from_.insert(renames_.from_.end(), from);
    }
    ~Mark() {
      MutexLock lock(renames_.mutex_);
      renames_.from_.erase(at_);
      renames_.ended_.NotifyAll();
    }
    Mark(const Mark&) = delete;
    Mark& operator=(const Mark&) = delete;

   private:
    RenamesInFlight& renames_;
    std::list<RemotePath>::iterator at_;
  };

  // Until no rename of `path` or of a directory above it is in flight.
  Status AwaitNone(const OpContext& ctx, const RemotePath& path) {
    MutexLock lock(mutex_);
    while (Moves(path)) {
      TRY(ctx.Check());
      ended_.Wait(mutex_, ctx);
    }
    return {};
  }

 private:
  bool Moves(const RemotePath& path) const REQUIRES(mutex_) {
    return std::ranges::any_of(from_, [&path](const RemotePath& from) { return from.Contains(path); });
  }

  Mutex mutex_;
  CondVar ended_;
  std::list<RemotePath> from_ GUARDED_BY(mutex_);
};

}  // namespace bt
