// Who the server says it is; compared to tell one container from another.
//
// Threading: a plain value.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace bt::ssh {

struct HostKey {
  std::string type;            // "ssh-ed25519"
  std::string fingerprint;     // "SHA256:..." as ssh-keygen -l prints it
  std::vector<std::byte> raw;  // the key in SSH's encoding

  bool operator==(const HostKey& other) const { return raw == other.raw; }
};

}  // namespace bt::ssh
