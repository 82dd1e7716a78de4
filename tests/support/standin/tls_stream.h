// A blocking TLS connection: the API server's side, and the client of the `connect` and `sign` sub-commands.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "tests/support/standin/tls_identity.h"
#include "transport/base/unique_fd.h"

namespace bt::standin {

// Threading: one thread at a time.
class TlsStream {
 public:
  // `fd` is a blocking socket.
  // Takes the socket only when it succeeds.
  static Result<TlsStream> Accept(UniqueFd&& fd, SSL_CTX* context);
  // Checks the peer's certificate against the name, with the system's roots or SSL_CERT_FILE.
  static Result<TlsStream> Connect(const std::string& host, const std::string& port);

  // Blocks for at least one byte; 0 at the end of the stream or on an error.
  std::size_t Read(std::span<char> out);
  // False when the peer is gone.
  bool WriteAll(std::string_view bytes);

  int fd() const { return fd_.get(); }
  SSL* ssl() const { return ssl_.get(); }

 private:
  TlsStream(UniqueFd fd, SslContext context, Ssl ssl);

  UniqueFd fd_;
  SslContext context_;  // of a client
  Ssl ssl_;
};

}  // namespace bt::standin
