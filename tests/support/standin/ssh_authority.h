// The authority that signs SSH user certificates, by way of ssh-keygen.
#pragma once

#include <atomic>
#include <chrono>
#include <string>

#include "tests/support/standin/process.h"

namespace bt::standin {

// Threading: any thread. Blocks for the run of ssh-keygen, a few milliseconds.
class SshAuthority {
 public:
  // Makes the authority's key pair under `directory` when it is missing.
  static Result<std::unique_ptr<SshAuthority>> Open(Spawner& spawner, const std::string& directory);

  SshAuthority(Spawner& spawner, std::string directory);

  // One line of an authorized_keys file in, one line of a certificate out. kInvalid when it is no public key. A
  // negative lifetime makes a certificate that has already expired.
  Result<std::string> Sign(const std::string& public_key, const std::string& key_id, const std::string& principal,
                           std::chrono::seconds lifetime);

  std::string public_key_file() const { return directory_ + "/user_ca.pub"; }

 private:
  Spawner& spawner_;
  const std::string directory_;
  std::atomic<std::uint64_t> serial_{0};
};

// Makes an Ed25519 pair without a passphrase in `file` and `file`.pub.
Status MakeSshKey(Spawner& spawner, const std::string& file, const std::string& log_file);

}  // namespace bt::standin
