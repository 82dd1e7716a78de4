#include "transport/access/stop_waker.h"

#include <poll.h>

#include <array>
#include <cerrno>
#include <string>

#include "transport/base/socket_options.h"

namespace bt::access {

StopWaker::StopWaker(const std::stop_token& cancel) {
  std::array<int, 2> ends{-1, -1};
  if (::pipe(ends.data()) != 0) {
    return;  // out of descriptors: Wait() then looks at the token four times a second
  }
  read_end_.Reset(ends[0]);
  write_end_.Reset(ends[1]);
  static_cast<void>(SetNonBlocking(ends[0]));
  static_cast<void>(SetNonBlocking(ends[1]));
  wake_.emplace(cancel, [fd = ends[1]] {
    const char byte = 0;
    static_cast<void>(!::write(fd, &byte, 1));
  });
}

Status StopWaker::Wait(const OpContext& ctx, int fd, short events) {
  constexpr std::chrono::milliseconds kLongest{60'000};
  constexpr std::chrono::milliseconds kWithoutPipe{250};
  while (true) {
    TRY(ctx.Check());
    std::array<pollfd, 2> watched{pollfd{fd, events, 0}, pollfd{read_end_.get(), POLLIN, 0}};
    const auto timeout = ctx.Remaining(read_end_ ? kLongest : kWithoutPipe);
    const int ready = ::poll(watched.data(), watched.size(), static_cast<int>(timeout.count()));
    if (ready < 0 && errno != EINTR) {
      return Error{Code::kInternal, "poll: " + SystemText(errno), "access.poll", Fate::kNotSent};
    }
    if (ready > 0 && watched[0].revents != 0) {
      return {};
    }
  }
}

}  // namespace bt::access
