#include "transport/access/tls_stream.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "transport/access/socket_bio.h"
#include "transport/access/stop_waker.h"
#include "transport/access/tls_verify.h"
#include "transport/base/socket_options.h"

namespace bt::access {
namespace {

// One recv() takes this much; a record is at most 16 KiB.
constexpr std::size_t kReadAheadBytes = 128UL * 1024;
constexpr std::size_t kRecordBytes = 16UL * 1024;

struct FreeContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using UniqueContext = std::unique_ptr<SSL_CTX, FreeContext>;

Error Internal(const char* what) { return Error{Code::kInternal, what, "access.tls", Fate::kNotSent}; }

Error Disconnected(std::string text) {
  return Error{Code::kDisconnected, std::move(text), "access.disconnected", Fate::kUnknown};
}

std::string OpensslReason() {
  const unsigned long code = ERR_peek_last_error();
  if (code == 0) {
    return {};
  }
  if (ERR_SYSTEM_ERROR(code)) {
    return SystemText(static_cast<int>(ERR_GET_REASON(code)));
  }
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : fmt::format("error {:x}", code);
}

// As OpenSSL and curl read the two variables: each replaces its half of the default.
Status LoadAuthorities(SSL_CTX* context, const CaLocations& ca) {
  if (ca.file && SSL_CTX_load_verify_file(context, ca.file->c_str()) != 1) {
    return CaLocationError(ca, OpensslReason());
  }
  if (ca.directory && SSL_CTX_load_verify_dir(context, ca.directory->c_str()) != 1) {
    return CaLocationError(ca, OpensslReason());
  }
  if (!ca.file && !ca.directory) {
    SSL_CTX_set_default_verify_paths(context);
  } else if (!ca.directory) {
    SSL_CTX_set_default_verify_dir(context);
  } else if (!ca.file) {
    SSL_CTX_set_default_verify_file(context);
  }
  return {};
}

bool IsAddress(const std::string& host) {
  ASN1_OCTET_STRING* address = a2i_IPADDRESS(host.c_str());
  ASN1_OCTET_STRING_free(address);
  return address != nullptr;
}

Status NamePeer(SSL* ssl, const std::string& host) {
  const bool named = IsAddress(host)
                         ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str()) == 1
                         : SSL_set1_host(ssl, host.c_str()) == 1 && SSL_set_tlsext_host_name(ssl, host.c_str()) == 1;
  if (!named) {
    return Error{Code::kProtocol, fmt::format("\"{}\" cannot be the name of a TLS server", host), "access.tls",
                 Fate::kNotSent};
  }
  return {};
}

}  // namespace

Result<TlsStream::UniqueSsl> TlsStream::Prepare(int fd, const std::string& host, const CaLocations& ca) {
  ERR_clear_error();
  const UniqueContext context(SSL_CTX_new(TLS_client_method()));
  if (!context) {
    return Internal("OpenSSL cannot be set up");
  }
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // What is inside is encrypted once more by SSH, so the cheapest of TLS 1.3's goes first. All of them stay allowed.
  SSL_CTX_set_ciphersuites(context.get(), "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256");
  SSL_CTX_set_read_ahead(context.get(), 1);
  SSL_CTX_set_default_read_buffer_len(context.get(), kReadAheadBytes);
  TRY(LoadAuthorities(context.get(), ca));

  UniqueSsl ssl(SSL_new(context.get()));
  UniqueBio bio = MakeSocketBio(fd);
  if (!ssl || !bio) {
    return Internal("OpenSSL cannot be set up");
  }
  BIO* both = bio.release();
  SSL_set_bio(ssl.get(), both, both);  // one BIO for both directions: one reference is taken
  TRY(NamePeer(ssl.get(), host));
  return ssl;
}

Result<std::unique_ptr<TlsStream>> TlsStream::Connect(const OpContext& ctx, UniqueFd fd, const std::string& host,
                                                      const CaLocations& ca) {
  UniqueSsl ssl = TRY(Prepare(fd.get(), host, ca));
  std::unique_ptr<TlsStream> stream(new TlsStream(std::move(fd), std::move(ssl)));
  TRY(stream->Handshake(ctx, host));
  return stream;
}

Status TlsStream::Handshake(const OpContext& ctx, const std::string& host) {
  StopWaker waker(ctx.cancel);
  while (true) {
    ERR_clear_error();
    errno = 0;
    const int done = SSL_connect(ssl_.get());
    if (done == 1) {
      return {};
    }
    const int why = SSL_get_error(ssl_.get(), done);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
      const Status waited = waker.Wait(ctx, fd_.get(), why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT);
      if (!waited.ok()) {
        failed_ = waited.error();
        return waited;
      }
      continue;
    }
    const long verify = SSL_get_verify_result(ssl_.get());
    failed_ = Ended(why, "the TLS handshake");
    if (verify != X509_V_OK) {
      return VerificationError(host, verify);
    }
    return Error{Code::kUnavailable, fmt::format("No TLS connection to {} came about ({})", host, failed_->text),
                 "access.tls", Fate::kNotSent};
  }
}

TlsStream::~TlsStream() {
  if (!failed_) {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
  }
  ERR_clear_error();
}

Error TlsStream::Ended(int ssl_error, const char* doing) {
  const int system_error = errno;
  std::string reason;
  switch (ssl_error) {
    case SSL_ERROR_ZERO_RETURN:
      return Disconnected("the peer ended the connection");
    case SSL_ERROR_SYSCALL:
      reason = system_error != 0 ? SystemText(system_error) : "the peer ended the connection";
      break;
    default:
      reason = OpensslReason();
      break;
  }
  return Disconnected(fmt::format("{} broke off: {}", doing, reason.empty() ? "no reason given" : reason));
}

Result<std::size_t> TlsStream::Read(std::span<std::byte> out) {
  if (failed_) {
    return *failed_;
  }
  std::size_t total = 0;
  read_wants_write_ = false;
  while (total < out.size()) {
    std::size_t got = 0;
    ERR_clear_error();
    errno = 0;
    const int done = SSL_read_ex(ssl_.get(), out.data() + total, out.size() - total, &got);
    if (done == 1) {
      total += got;
      drained_ = false;
      continue;
    }
    const int why = SSL_get_error(ssl_.get(), done);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
      read_wants_write_ = why == SSL_ERROR_WANT_WRITE;
      drained_ = true;
      return total;
    }
    failed_ = Ended(why, "reading");
    if (total > 0) {
      return total;  // what came before the end counts; the next call tells the end
    }
    return *failed_;
  }
  return total;
}

Result<std::size_t> TlsStream::Write(std::span<const std::byte> bytes) {
  if (failed_) {
    return *failed_;
  }
  std::size_t total = 0;
  write_wants_read_ = false;
  while (total < bytes.size()) {
    // OpenSSL insists that a repeated write is no shorter than the first try; one record at a time keeps that easy.
    const std::size_t left = bytes.size() - total;
    const std::size_t size = unfinished_write_ > 0 ? unfinished_write_ : std::min(left, kRecordBytes);
    if (size > left) {
      return Internal("a TLS write was not continued with the bytes left over");
    }
    std::size_t written = 0;
    ERR_clear_error();
    errno = 0;
    const int done = SSL_write_ex(ssl_.get(), bytes.data() + total, size, &written);
    if (done == 1) {
      unfinished_write_ = 0;
      total += written;
      continue;
    }
    const int why = SSL_get_error(ssl_.get(), done);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
      write_wants_read_ = why == SSL_ERROR_WANT_READ;
      unfinished_write_ = size;
      return total;
    }
    failed_ = Ended(why, "writing");
    if (total > 0) {
      return total;
    }
    return *failed_;
  }
  return total;
}

// With read-ahead, SSL_has_pending is also true for the first part of a record whose rest is still to come; SSL_read
// has seen that already when it asked for more. An end that is still to be told counts as well: poll() may not see it.
bool TlsStream::HasPending() const { return failed_ || (!drained_ && SSL_has_pending(ssl_.get()) == 1); }

short TlsStream::poll_events(bool want_write) const {
  const bool out = read_wants_write_ || (want_write && !write_wants_read_);
  return static_cast<short>(POLLIN | (out ? POLLOUT : 0));
}

void TlsStream::Abort() { ResetConnection(fd_.get()); }

Result<std::size_t> PlainStream::Read(std::span<std::byte> out) {
  if (out.empty()) {
    return std::size_t{0};
  }
  const ssize_t got = ::recv(fd_.get(), out.data(), out.size(), 0);
  if (got > 0) {
    return static_cast<std::size_t>(got);
  }
  if (got == 0) {
    return Disconnected("the peer ended the connection");
  }
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
    return std::size_t{0};
  }
  return Disconnected(fmt::format("reading broke off: {}", SystemText(errno)));
}

Result<std::size_t> PlainStream::Write(std::span<const std::byte> bytes) {
  if (bytes.empty()) {
    return std::size_t{0};
  }
  const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent >= 0) {
    return static_cast<std::size_t>(sent);
  }
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
    return std::size_t{0};
  }
  return Disconnected(fmt::format("writing broke off: {}", SystemText(errno)));
}

short PlainStream::poll_events(bool want_write) const {
  return static_cast<short>(POLLIN | (want_write ? POLLOUT : 0));
}

void PlainStream::Abort() { ResetConnection(fd_.get()); }

}  // namespace bt::access
