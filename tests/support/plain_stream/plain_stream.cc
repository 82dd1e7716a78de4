#include "tests/support/plain_stream/plain_stream.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <utility>

namespace bt::test {
namespace {

Error Failed(const std::string& what) {
  return Error{Code::kDisconnected, what + ": " + SystemText(errno), "test.socket", Fate::kUnknown};
}

}  // namespace

PlainStream::PlainStream(UniqueFd socket) : socket_(std::move(socket)) {
  ::fcntl(socket_.get(), F_SETFL, ::fcntl(socket_.get(), F_GETFL) | O_NONBLOCK);
  const int on = 1;
  ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

Result<std::unique_ptr<PlainStream>> PlainStream::Connect(std::uint16_t port, const Options& options) {
  UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) {
    return Failed("socket");
  }
  if (options.send_buffer > 0) {
    ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUF, &options.send_buffer, sizeof options.send_buffer);
  }
  if (options.receive_buffer > 0) {
    ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &options.receive_buffer, sizeof options.receive_buffer);
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return Failed("connect");
  }
  return std::make_unique<PlainStream>(std::move(socket));
}

Result<std::size_t> PlainStream::Read(std::span<std::byte> out) {
  const ssize_t got = ::recv(socket_.get(), out.data(), out.size(), 0);
  if (got > 0) {
    return static_cast<std::size_t>(got);
  }
  if (got == 0) {
    return Error{Code::kDisconnected, "the peer closed the connection", "test.eof", Fate::kUnknown};
  }
  if (errno == EAGAIN || errno == EINTR) {
    return std::size_t{0};
  }
  return Failed("recv");
}

Result<std::size_t> PlainStream::Write(std::span<const std::byte> bytes) {
  const ssize_t put = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (put >= 0) {
    return static_cast<std::size_t>(put);
  }
  if (errno == EAGAIN || errno == EINTR) {
    return std::size_t{0};
  }
  return Failed("send");
}

short PlainStream::poll_events(bool want_write) const {
  return static_cast<short>(want_write ? POLLIN | POLLOUT : POLLIN);
}

void PlainStream::Abort() { ::shutdown(socket_.get(), SHUT_RDWR); }

}  // namespace bt::test
