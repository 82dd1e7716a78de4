// A poll() that a cancelled context wakes at once. For the few waits on sockets before a lane's own thread takes over.
//
// Threading: one thread waits; the token may be stopped by any other.
#pragma once

#include <functional>
#include <optional>
#include <stop_token>

#include "transport/base/op_context.h"
#include "transport/base/unique_fd.h"

namespace bt::access {

class StopWaker {
 public:
  explicit StopWaker(const std::stop_token& cancel);
  ~StopWaker() = default;
  StopWaker(const StopWaker&) = delete;
  StopWaker& operator=(const StopWaker&) = delete;

  // Returns when `fd` has one of `events` (or an error), else with ctx.Check()'s kTimedOut or kInterrupted.
  Status Wait(const OpContext& ctx, int fd, short events);

 private:
  UniqueFd read_end_;
  UniqueFd write_end_;
  // Last: unregistered (and waited for, when it is just running) before the pipe closes.
  std::optional<std::stop_callback<std::function<void()>>> wake_;
};

}  // namespace bt::access
