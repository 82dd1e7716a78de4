#include "tests/support/standin/sockets.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>

namespace bt::standin {
namespace {

constexpr int kSocketBufferBytes = 512 << 10;

sockaddr_in Loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

Error SocketError(const char* what) {
  return Error{Code::kInternal, fmt::format("{}: {}", what, SystemText(errno)), "standin.socket"};
}

void SetOption(int fd, int level, int option, int value) { ::setsockopt(fd, level, option, &value, sizeof value); }

}  // namespace

Result<UniqueFd> BindLoopback(std::uint16_t port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) {
    return SocketError("socket");
  }
  SetOption(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  TuneStream(fd.get());
  const sockaddr_in address = Loopback(port);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return SocketError("bind");
  }
  return fd;
}

Status Listen(int fd) {
  if (::listen(fd, SOMAXCONN) != 0) {
    return SocketError("listen");
  }
  return {};
}

std::uint16_t LocalPort(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

UniqueFd ConnectLoopback(std::uint16_t port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) {
    return fd;
  }
  TuneStream(fd.get());
  const sockaddr_in address = Loopback(port);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 && errno != EINPROGRESS) {
    fd.Reset();
  }
  return fd;
}

void TuneStream(int fd) {
  SetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  SetOption(fd, SOL_SOCKET, SO_RCVBUF, kSocketBufferBytes);
  SetOption(fd, SOL_SOCKET, SO_SNDBUF, kSocketBufferBytes);
}

void ResetOnClose(int fd) {
  const linger now{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

Io ReadSome(int fd, std::span<std::byte> out, Ready& ready) {
  const ssize_t n = ::recv(fd, out.data(), out.size(), MSG_DONTWAIT);
  if (n > 0) {
    const auto size = static_cast<std::size_t>(n);
    // A short read has emptied the socket, so the next bytes raise a new edge; an end that is already there does not.
    if (size < out.size() && !ready.hang_up) {
      ready.read = false;
    }
    return {IoOutcome::kMoved, size};
  }
  if (n == 0) {
    ready.read = false;
    return {IoOutcome::kEnd};
  }
  if (errno == EAGAIN || errno == EINTR || errno == ENOTCONN) {
    ready.read = false;
    return {IoOutcome::kWait};
  }
  ready.read = false;
  return {IoOutcome::kError};
}

Io WriteSome(int fd, std::span<const std::byte> bytes, Ready& ready) {
  const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n >= 0) {
    const auto size = static_cast<std::size_t>(n);
    if (size < bytes.size()) {
      ready.write = false;
    }
    return {IoOutcome::kMoved, size};
  }
  ready.write = false;
  return {errno == EAGAIN || errno == EINTR || errno == ENOTCONN ? IoOutcome::kWait : IoOutcome::kError};
}

}  // namespace bt::standin
