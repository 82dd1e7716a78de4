// TLS as a client over a connected socket, and the same socket without TLS.
//
// Threading: as ByteStream. Connect blocks until the handshake is done, ctx.deadline or ctx.cancel; afterwards nothing
// here blocks. The process needs no SIGPIPE handler.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <openssl/ssl.h>

#include "transport/access/ca_locations.h"
#include "transport/base/byte_stream.h"
#include "transport/base/op_context.h"
#include "transport/base/unique_fd.h"

namespace bt::access {

class TlsStream final : public ByteStream {
 public:
  // TLS 1.2 or newer; `host` is sent as SNI and must be the certificate's name (or address). `fd` is non-blocking.
  // kRefused when the certificate does not verify (tags access.tls-ca, access.tls-name, access.tls-expired), kConfig
  // when `ca` cannot be read, kUnavailable when the handshake breaks off.
  static Result<std::unique_ptr<TlsStream>> Connect(const OpContext& ctx, UniqueFd fd, const std::string& host,
                                                    const CaLocations& ca);
  ~TlsStream() override;  // says good-bye if that is possible without waiting

  // Fills `out` from as many records as are there.
  Result<std::size_t> Read(std::span<std::byte> out) override;
  // After a return that was short of `bytes`, the next call must begin with the bytes that were left over: a part of
  // them may be encrypted already.
  Result<std::size_t> Write(std::span<const std::byte> bytes) override;
  bool HasPending() const override;
  int fd() const override { return fd_.get(); }
  short poll_events(bool want_write) const override;
  void Abort() override;

 private:
  struct FreeSsl {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  using UniqueSsl = std::unique_ptr<SSL, FreeSsl>;

  TlsStream(UniqueFd fd, UniqueSsl ssl) : fd_(std::move(fd)), ssl_(std::move(ssl)) {}
  static Result<UniqueSsl> Prepare(int fd, const std::string& host, const CaLocations& ca);
  Status Handshake(const OpContext& ctx, const std::string& host);
  Error Ended(int ssl_error, const char* doing);

  const UniqueFd fd_;
  const UniqueSsl ssl_;
  std::optional<Error> failed_;       // the stream's end; SSL may not be touched after it
  bool drained_ = true;               // the last SSL_read wanted more from the socket
  bool read_wants_write_ = false;     // TLS itself has something to say before it can read on
  bool write_wants_read_ = false;     // and the other way round
  std::size_t unfinished_write_ = 0;  // size of the SSL_write to be repeated
};

// The same without TLS, for BASETEN_SSH_PROXY_INSECURE.
class PlainStream final : public ByteStream {
 public:
  explicit PlainStream(UniqueFd fd) : fd_(std::move(fd)) {}

  Result<std::size_t> Read(std::span<std::byte> out) override;
  Result<std::size_t> Write(std::span<const std::byte> bytes) override;
  bool HasPending() const override { return false; }
  int fd() const override { return fd_.get(); }
  short poll_events(bool want_write) const override;
  void Abort() override;

 private:
  const UniqueFd fd_;
};

}  // namespace bt::access
