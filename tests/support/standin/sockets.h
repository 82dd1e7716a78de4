// Small wrappers of loopback sockets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tests/support/standin/far_end.h"
#include "transport/base/result.h"
#include "transport/base/unique_fd.h"

namespace bt::standin {

// A socket bound to 127.0.0.1:`port` (0: any), not yet listening: connecting to it is refused.
Result<UniqueFd> BindLoopback(std::uint16_t port);
Status Listen(int fd);
std::uint16_t LocalPort(int fd);

// A non-blocking connection to 127.0.0.1:`port` that may still be in progress. Invalid when it was refused at once.
UniqueFd ConnectLoopback(std::uint16_t port);

// For both ends of the emulated link: no Nagle, and buffers small enough that the link's window, not the kernel's,
// decides how much is on the way.
void TuneStream(int fd);

// close() of this socket will send a reset.
void ResetOnClose(int fd);

enum class IoOutcome { kMoved, kWait, kEnd, kError };
struct Io {
  IoOutcome outcome;
  std::size_t size = 0;
};
// One read or write on a non-blocking socket that keeps the readiness flags right.
Io ReadSome(int fd, std::span<std::byte> out, Ready& ready);
Io WriteSome(int fd, std::span<const std::byte> bytes, Ready& ready);

}  // namespace bt::standin
