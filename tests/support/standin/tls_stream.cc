#include "tests/support/standin/tls_stream.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <utility>

namespace bt::standin {
namespace {

Error TlsError(const std::string& what) {
  return Error{Code::kUnavailable, fmt::format("{}: {}", what, TakeSslError()), "standin.tls"};
}

Result<UniqueFd> Dial(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int problem = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found); problem != 0) {
    return Error{Code::kUnavailable, fmt::format("{}: {}", host, ::gai_strerror(problem)), "standin.dial"};
  }
  UniqueFd fd;
  for (const addrinfo* entry = found; entry != nullptr && !fd; entry = entry->ai_next) {
    fd.Reset(::socket(entry->ai_family, entry->ai_socktype | SOCK_CLOEXEC, 0));
    if (fd && ::connect(fd.get(), entry->ai_addr, entry->ai_addrlen) != 0) {
      fd.Reset();
    }
  }
  ::freeaddrinfo(found);
  if (!fd) {
    return Error{Code::kUnavailable, fmt::format("{}:{}: {}", host, port, SystemText(errno)), "standin.dial"};
  }
  const int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

}  // namespace

TlsStream::TlsStream(UniqueFd fd, SslContext context, Ssl ssl)
    : fd_(std::move(fd)), context_(std::move(context)), ssl_(std::move(ssl)) {}

Result<TlsStream> TlsStream::Accept(UniqueFd&& fd, SSL_CTX* context) {
  Ssl ssl(SSL_new(context));
  if (!ssl || SSL_set_fd(ssl.get(), fd.get()) != 1 || SSL_accept(ssl.get()) != 1) {
    return TlsError("TLS handshake");
  }
  return TlsStream(std::move(fd), nullptr, std::move(ssl));
}

Result<TlsStream> TlsStream::Connect(const std::string& host, const std::string& port) {
  UniqueFd fd = TRY(Dial(host, port));
  SslContext context(SSL_CTX_new(TLS_client_method()));
  if (!context || SSL_CTX_set_default_verify_paths(context.get()) != 1) {
    return TlsError("TLS set-up");
  }
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  Ssl ssl(SSL_new(context.get()));
  if (!ssl || SSL_set_fd(ssl.get(), fd.get()) != 1 || SSL_set1_host(ssl.get(), host.c_str()) != 1 ||
      SSL_set_tlsext_host_name(ssl.get(), host.c_str()) != 1 || SSL_connect(ssl.get()) != 1) {
    return TlsError("TLS with " + host + ":" + port);
  }
  return TlsStream(std::move(fd), std::move(context), std::move(ssl));
}

std::size_t TlsStream::Read(std::span<char> out) {
  ERR_clear_error();
  std::size_t n = 0;
  return SSL_read_ex(ssl_.get(), out.data(), out.size(), &n) == 1 ? n : 0;
}

bool TlsStream::WriteAll(std::string_view bytes) {
  while (!bytes.empty()) {
    ERR_clear_error();
    std::size_t n = 0;
    if (SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &n) != 1) {
      return false;
    }
    bytes.remove_prefix(n);
  }
  return true;
}

}  // namespace bt::standin
