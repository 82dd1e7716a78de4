// The user's SSH key: read from the directory of the official clients, or made in memory for this process.
//
// The private half stays inside OpenSSL, which wipes it when it is freed; what was read from disk is wiped as soon as
// it is parsed. It is never written anywhere and never part of a message.
//
// Threading: immutable after construction; any thread may use it.
#pragma once

#include <openssl/types.h>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "transport/base/result.h"

namespace bt::ssh {

struct FreePkey {
  void operator()(EVP_PKEY* key) const;
};
using UniquePkey = std::unique_ptr<EVP_PKEY, FreePkey>;

class KeyPair {
 public:
  // The key in `ssh_dir`: id_ed25519, else id_rsa. Blocks on the local disk.
  // kNotFound: there is neither file (the caller may Generate() one); kConfig: there is one that cannot be used.
  static Result<std::unique_ptr<KeyPair>> Load(const std::filesystem::path& ssh_dir);

  // A private key file's text: OpenSSH's own format or PEM, Ed25519 or RSA, without a passphrase. `name` is for
  // messages. kConfig otherwise.
  static Result<std::unique_ptr<KeyPair>> Parse(std::string_view text, std::string_view name);

  // A new Ed25519 pair that lives in memory only.
  static Result<std::unique_ptr<KeyPair>> Generate();

  // "ssh-ed25519 AAAA... bt-mount": one authorized_keys line, without a line end.
  std::string public_key_line() const;

  // "ssh-ed25519" or "ssh-rsa".
  std::string_view type() const { return type_; }
  // The public half in SSH's encoding.
  std::span<const std::byte> public_blob() const { return public_blob_; }

  // The bare signature (no length, no name around it) of `data`. `algorithm` is a signature algorithm of SSH, with or
  // without a certificate suffix: "ssh-ed25519", "rsa-sha2-512-cert-v01@openssh.com". kUnsupported when this key has
  // no such algorithm.
  Result<std::vector<std::byte>> Sign(std::string_view algorithm, std::span<const std::byte> data) const;

 private:
  KeyPair(UniquePkey key, std::string type, std::vector<std::byte> public_blob);
  static Result<std::unique_ptr<KeyPair>> FromPkey(UniquePkey key, std::string_view name);

  const UniquePkey key_;
  const std::string type_;
  const std::vector<std::byte> public_blob_;
};

}  // namespace bt::ssh
