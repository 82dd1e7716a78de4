// TLS certificates of the stand-in: its own authority, a good certificate for localhost, and bad ones for tests.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <atomic>
#include <memory>
#include <string>

#include "transport/base/result.h"

namespace bt::standin {

enum class TlsCertificate {
  kGood,       // for localhost and 127.0.0.1, by the authority in ca_file
  kWrongName,  // by that authority, for another name
  kOtherCa,    // for localhost, by an authority nobody trusts
  kExpired,    // for localhost, over since yesterday
};
inline constexpr std::size_t kTlsCertificates = 4;

struct SslContextFree {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using SslContext = std::unique_ptr<SSL_CTX, SslContextFree>;

struct SslFree {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using Ssl = std::unique_ptr<SSL, SslFree>;

// Server contexts for all kinds of certificate, made once at start.
//
// Threading: contexts may be used by any thread.
class TlsIdentities {
 public:
  // Writes the authority's certificate, in PEM, to `ca_file`.
  static Result<std::unique_ptr<TlsIdentities>> Make(const std::string& ca_file);

  SSL_CTX* context(TlsCertificate kind) const { return contexts_[static_cast<std::size_t>(kind)].get(); }

 private:
  std::array<SslContext, kTlsCertificates> contexts_;
};

// The text of OpenSSL's latest error on this thread, which is cleared.
std::string TakeSslError();

}  // namespace bt::standin
