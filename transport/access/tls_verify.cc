#include "transport/access/tls_verify.h"

#include <string>

#include <fmt/format.h>
#include <openssl/x509.h>

namespace bt::access {

Error VerificationError(std::string_view host, long verify_result) {
  const auto refuse = [](std::string text, const char* tag) {
    return Error{Code::kRefused, std::move(text), tag, Fate::kNotSent};
  };
  const std::string_view reason = X509_verify_cert_error_string(verify_result);
  switch (verify_result) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return refuse(fmt::format("The TLS certificate of {} is for another name. Something else answers in its place; "
                                "nothing was sent to it.",
                                host),
                    "access.tls-name");
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return refuse(fmt::format("The TLS certificate of {} is not valid today: {}. Is the clock of this machine right?",
                                host, reason),
                    "access.tls-expired");
    default:
      return refuse(fmt::format("The TLS certificate of {} is not signed by an authority that this machine trusts: {}. "
                                "Behind a company's TLS proxy, name its authority in SSL_CERT_FILE.",
                                host, reason),
                    "access.tls-ca");
  }
}

Error CaLocationError(const CaLocations& ca, std::string_view reason) {
  std::string which;
  if (ca.file) {
    which = fmt::format("SSL_CERT_FILE={}", *ca.file);
  }
  if (ca.directory) {
    which += fmt::format("{}SSL_CERT_DIR={}", which.empty() ? "" : ", ", *ca.directory);
  }
  return Error{
      Code::kConfig,
      fmt::format("The trusted certificates cannot be read ({}){}{}", reason, which.empty() ? "" : ": ", which),
      "access.tls-ca-file", Fate::kNotSent};
}

}  // namespace bt::access
