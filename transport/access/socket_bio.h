// How OpenSSL reads and writes a socket here: without SIGPIPE (its own socket BIO uses write(2), which raises it).
//
// Threading: as the SSL object that owns the BIO.
#pragma once

#include <memory>

#include <openssl/bio.h>

namespace bt::access {

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using UniqueBio = std::unique_ptr<BIO, FreeBio>;

// Does not own `fd`, which must be non-blocking. Null when memory is out.
UniqueBio MakeSocketBio(int fd);

}  // namespace bt::access
