// Words for certificates that do not verify, the same for the API (libcurl) and the proxy (OpenSSL).
//
// Threading: pure functions.
#pragma once

#include <string_view>

#include <openssl/crypto.h>
#include <openssl/x509_vfy.h>

#include "transport/access/ca_locations.h"
#include "transport/base/error.h"

namespace bt::access {

// `verify_result` is one of X509_V_ERR_*. kRefused; the tag is access.tls-name, access.tls-expired or access.tls-ca.
Error VerificationError(std::string_view host, long verify_result);

// kConfig: SSL_CERT_FILE or SSL_CERT_DIR names what cannot be read.
Error CaLocationError(const CaLocations& ca, std::string_view reason);

}  // namespace bt::access
