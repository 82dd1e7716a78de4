// Logging in with an OpenSSH user certificate: the text of the sign call, and the steps of the login.
//
// Threading: Certificate is a plain value; CertificateLogin belongs to the thread that owns the session.
#pragma once

#include <libssh2.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "transport/base/result.h"
#include "transport/ssh/key_pair.h"

namespace bt::ssh {

// What is needed of a user certificate. Its signature is the server's to check.
struct Certificate {
  std::string type;                    // "ssh-ed25519-cert-v01@openssh.com"
  std::vector<std::byte> blob;         // the whole certificate as it goes over the wire
  std::vector<std::byte> public_blob;  // the key it certifies, as KeyPair::public_blob()
  std::uint64_t valid_after = 0;       // seconds since 1970
  std::uint64_t valid_before = 0;      // the first second that is too late

  // "ssh-ed25519-cert-v01@openssh.com AAAA... comment". kRefused when it is something else: there is nothing that
  // the user could mend.
  static Result<Certificate> Parse(std::string_view text);
};

// The login of one session.
class CertificateLogin {
 public:
  // `key_pair` outlives this.
  CertificateLogin(std::string user, Certificate certificate, const KeyPair& key_pair);

  // True when logged in, false while waiting for the server: then to be called again with the same session. kRefused
  // when the server says no.
  Result<bool> Step(LIBSSH2_SESSION* session);

 private:
  const std::string user_;
  const Certificate certificate_;
  const KeyPair& key_pair_;
  bool tried_sha256_ = false;
};

// What to tell when the server refuses `certificate`. `now`: seconds since 1970.
Error RefusedCertificate(const std::string& user, const Certificate& certificate, std::uint64_t now);

}  // namespace bt::ssh
