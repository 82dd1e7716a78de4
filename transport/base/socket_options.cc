#include "transport/base/socket_options.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace bt {
namespace {

void SetInt(int fd, int level, int option, int value) {
  // A failure only means that the option is not for this kind of socket.
  static_cast<void>(::setsockopt(fd, level, option, &value, sizeof value));
}

bool SigpipePending() {
  sigset_t pending;
  sigemptyset(&pending);
  sigpending(&pending);
  return sigismember(&pending, SIGPIPE) == 1;
}

}  // namespace

void TuneForLongLink(int fd) {
  SetInt(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  SetInt(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
#if defined(__linux__)
  SetInt(fd, IPPROTO_TCP, TCP_KEEPIDLE, 5);
  SetInt(fd, IPPROTO_TCP, TCP_KEEPINTVL, 5);
  SetInt(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
  SetInt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 15'000);
#endif
}

void ResetConnection(int fd) {
#if defined(__linux__)
  // Disconnecting sends a RST and empties the send queue; shutdown() alone would go on delivering it, even after
  // close().
  struct sockaddr nobody {};
  nobody.sa_family = AF_UNSPEC;
  // Not by connect(): ThreadSanitizer takes that for a new descriptor, and other threads' use of this one for a race.
  static_cast<void>(::syscall(SYS_connect, fd, &nobody, sizeof nobody));
#endif
  static_cast<void>(::shutdown(fd, SHUT_RDWR));
}

Status SetNonBlocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL, 0);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || ::fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
    return Error{Code::kInternal, "fcntl: " + SystemText(errno), "base.fcntl", Fate::kNotSent};
  }
  return {};
}

SigpipeGuard::SigpipeGuard() : was_pending_(SigpipePending()) {
  sigset_t pipe_only;
  sigemptyset(&pipe_only);
  sigaddset(&pipe_only, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe_only, &before_);
}

SigpipeGuard::~SigpipeGuard() {
  // A SIGPIPE from a write goes to the writing thread, so one that is pending now and was not before is ours. When the
  // process ignores SIGPIPE none is ever pending.
  if (!was_pending_ && SigpipePending()) {
    sigset_t pipe_only;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    int taken = 0;
    sigwait(&pipe_only, &taken);
  }
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

}  // namespace bt
