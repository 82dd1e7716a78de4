// Where the trusted certificate authorities are: SSL_CERT_FILE and SSL_CERT_DIR, for the API and the proxy alike; what
// is not set is the library's default (the system's roots).
//
// Threading: a value.
#pragma once

#include <optional>
#include <string>

#include "transport/access/environment.h"

namespace bt::access {

struct CaLocations {
  std::optional<std::string> file;
  std::optional<std::string> directory;

  static CaLocations From(const Environment& environment) {
    return CaLocations{environment.Get("SSL_CERT_FILE"), environment.Get("SSL_CERT_DIR")};
  }
};

}  // namespace bt::access
