// The private key format of ssh-keygen ("BEGIN OPENSSH PRIVATE KEY"), which OpenSSL does not read.
//
// Threading: pure functions.
#pragma once

#include <string_view>

#include "transport/base/result.h"
#include "transport/ssh/key_pair.h"

namespace bt::ssh {

bool LooksLikeOpensshKey(std::string_view text);

// An unencrypted Ed25519 or RSA key. kConfig, with `name` in the message, for anything else.
Result<UniquePkey> ParseOpensshKey(std::string_view text, std::string_view name);

// What to tell about a key that has a passphrase.
Error EncryptedKeyError(std::string_view name);

}  // namespace bt::ssh
