// Reads requests from /dev/fuse and lets libfuse decode them, on a few threads that never wait for anything else.
//
// In place of fuse_session_loop_mt(): that one can be stopped from outside only by luck (its workers sit in read(2) and
// are ended by pthread_cancel), and it keeps its buffers, so that the data of each write would have to be copied.
//
// Threading: Stop() from any thread and from a signal handler; the rest from one thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>

#include "fs/fuse/libfuse.h"
#include "transport/base/result.h"
#include "transport/base/sync.h"
#include "transport/base/unique_fd.h"

namespace bt::fuse {

// The bytes of a write request beyond the callback that brought it.
class RequestBytes {
 public:
  // `bytes` lies in the request being decoded on this thread. Large ones are kept where they are, with the buffer.
  static RequestBytes Keep(std::span<const std::byte> bytes);

  std::span<const std::byte> span() const { return bytes_; }

 private:
  std::shared_ptr<const void> owner_;
  std::span<const std::byte> bytes_;
};

class DeviceLoop {
 public:
  // `session` is mounted and outlives the loop.
  static Result<std::unique_ptr<DeviceLoop>> Open(fuse_session* session);

  // Serves on the calling thread until `done` is true. Success also when unmounted or stopped before.
  Status ServeUntil(const std::function<bool()>& done);
  // Serves on `threads` new threads until unmounted or stopped; `started` is called meanwhile, on the calling thread.
  Status Serve(std::size_t threads, const std::function<void()>& started);

  void Stop() noexcept;

 private:
  explicit DeviceLoop(fuse_session* session) : session_(session) {}
  static Status WaitForRequest(int epoll);
  Status ReadRequests(const std::function<bool()>& done);

  fuse_session* const session_;
  UniqueFd stop_event_;
  std::atomic<bool> stopping_{false};
  static_assert(std::atomic<bool>::is_always_lock_free, "Stop() runs in signal handlers");

  Mutex mutex_;
  Status outcome_ GUARDED_BY(mutex_);  // the first error of any thread
};

}  // namespace bt::fuse
