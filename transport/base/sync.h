// Mutex, lock and condition variable that carry clang's thread-safety annotations, so that `GUARDED_BY` is checked by
// clang-tidy (-Wthread-safety) instead of by hope. The macros are empty for other compilers.
//
// House rule: no lock is held across I/O, a callback or a fuse_reply_*.
#pragma once

#include <condition_variable>
#include <mutex>
#include <utility>

#include "transport/base/op_context.h"

#if defined(__clang__)
#define BT_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define BT_THREAD_ANNOTATION(x)
#endif

#define CAPABILITY(x) BT_THREAD_ANNOTATION(capability(x))
#define SCOPED_CAPABILITY BT_THREAD_ANNOTATION(scoped_lockable)
#define GUARDED_BY(x) BT_THREAD_ANNOTATION(guarded_by(x))
#define PT_GUARDED_BY(x) BT_THREAD_ANNOTATION(pt_guarded_by(x))
#define REQUIRES(...) BT_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define EXCLUDES(...) BT_THREAD_ANNOTATION(locks_excluded(__VA_ARGS__))
#define ACQUIRE(...) BT_THREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
#define RELEASE(...) BT_THREAD_ANNOTATION(release_capability(__VA_ARGS__))
#define NO_THREAD_SAFETY_ANALYSIS BT_THREAD_ANNOTATION(no_thread_safety_analysis)

namespace bt {

class CAPABILITY("mutex") Mutex {
 public:
  void lock() ACQUIRE() { mutex_.lock(); }
  void unlock() RELEASE() { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

// Scoped lock; may be opened and closed again within its scope.
class SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~MutexLock() RELEASE() {
    if (held_) {
      mutex_.unlock();
    }
  }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

  void Unlock() RELEASE() {
    held_ = false;
    mutex_.unlock();
  }
  void Lock() ACQUIRE() {
    mutex_.lock();
    held_ = true;
  }

 private:
  Mutex& mutex_;
  bool held_ = true;
};

// Waits hold `mutex` on entry and on return, as with std::condition_variable.
class CondVar {
 public:
  void NotifyOne() { cv_.notify_one(); }
  void NotifyAll() { cv_.notify_all(); }

  void Wait(Mutex& mutex) REQUIRES(mutex) { cv_.wait(mutex); }

  // Until woken, the context's deadline or its cancellation, whichever is first. The caller re-checks its condition
  // and then ctx.Check().
  void Wait(Mutex& mutex, const OpContext& ctx) REQUIRES(mutex) {
    // wait_until(stop_token) needs a predicate; "woken once" is expressed by a flag, so spurious wake-ups are the
    // caller's to handle, as everywhere.
    bool asked = false;
    auto woken = [&asked] { return std::exchange(asked, true); };
    if (ctx.deadline == TimePoint::max()) {
      cv_.wait(mutex, ctx.cancel, woken);
    } else {
      cv_.wait_until(mutex, ctx.cancel, ctx.deadline, woken);
    }
  }

  // Until woken or `deadline`.
  void WaitUntil(Mutex& mutex, TimePoint deadline) REQUIRES(mutex) { cv_.wait_until(mutex, deadline); }

 private:
  std::condition_variable_any cv_;
};

}  // namespace bt
