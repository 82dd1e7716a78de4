// What is surely past on the server's clock. SFTP does not tell the time; whatever time the server was once seen to
// have reached, it has reached since, and as much later as our own monotonic clock has moved.
//
// Why it matters: times on the wire are whole seconds. A file whose mtime is the present second can be written once
// more without a trace in its attributes, so bytes that were read meanwhile belong to no version for sure (settled()).
//
// Threading: any thread. Only Ask() blocks.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

#include "transport/base/op_context.h"
#include "transport/base/sync.h"
#include "transport/remote_fs.h"

namespace bt {

class ServerClock {
 public:
  // Beyond the second that the wire cannot divide: the kernel stamps files with a coarse clock, and a volume of the
  // container may be stamped by another machine.
  static constexpr std::int64_t kMargin = 5;  // seconds

  // The server's clock had reached `seconds` since 1970 by `now`.
  void Reached(std::int64_t seconds, TimePoint now) {
    MutexLock lock(mutex_);
    if (!known_ || At(now) < seconds) {
      known_ = Known{seconds, now};
    }
  }

  // Looks at a time that the server has surely reached, in one round trip. Elsewhere than on Linux, and when the
  // context ends before the answer, nothing is learnt.
  void Ask(const OpContext& ctx, RemoteFs& fs);
  // The server showed these attributes of something in /proc that belongs to its own process, which is new.
  void SawProcess(const Attributes& attributes);

  // Whether a write at `now` or later is bound to show as another mtime than `mtime`.
  bool Settled(std::int64_t mtime, TimePoint now) const {
    MutexLock lock(mutex_);
    return known_ && At(now) >= mtime + kMargin;
  }

 private:
  struct Known {
    std::int64_t seconds = 0;
    TimePoint at;
  };

  std::int64_t At(TimePoint now) const REQUIRES(mutex_) {
    return known_->seconds + std::chrono::duration_cast<std::chrono::seconds>(now - known_->at).count();
  }

  mutable Mutex mutex_;
  std::optional<Known> known_ GUARDED_BY(mutex_);
};

}  // namespace bt
