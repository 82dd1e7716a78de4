#include "transport/ssh/algorithms.h"

#include <array>
#include <utility>

#include "transport/ssh/errors.h"

namespace bt::ssh {
namespace {

// Curve25519 first: every OpenSSH since 6.5 has it, it is fast, and servers exchange keys again every 1 GiB.
constexpr const char* kKeyExchange =
    "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,"
    "diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,diffie-hellman-group18-sha512,"
    "diffie-hellman-group14-sha256";

// No ssh-rsa (SHA-1): servers that have nothing better are older than any image in use.
constexpr const char* kHostKeys =
    "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256";

// By CPU time of the client, which tests/bench/ssh_cpu measures. With the patches of scripts/libssh2 AES-GCM is the
// cheapest and the server's side is cheapest with it too; servers also exchange keys every 64 GiB then, and every GiB
// with ChaCha20. Stock libssh2 1.11 gives AES to OpenSSL in blocks of 16 bytes, which makes AES-GCM the slowest
// (6.4-8.8 s per GiB) and its own ChaCha20-Poly1305 the fastest (4.0-4.3), before AES-CTR (4.2-6.1).
#ifdef LIBSSH2_WHOLE_PACKET_CIPHERS
constexpr const char* kCiphers =
    "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes128-ctr,aes256-ctr";
#else
constexpr const char* kCiphers =
    "chacha20-poly1305@openssh.com,aes128-ctr,aes256-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com";
#endif

// For AES-CTR only; encrypt-then-MAC first.
constexpr const char* kMacs = "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512";

constexpr std::array<std::pair<int, const char*>, 8> kOffers{{
    {LIBSSH2_METHOD_KEX, kKeyExchange},
    {LIBSSH2_METHOD_HOSTKEY, kHostKeys},
    {LIBSSH2_METHOD_CRYPT_CS, kCiphers},
    {LIBSSH2_METHOD_CRYPT_SC, kCiphers},
    {LIBSSH2_METHOD_MAC_CS, kMacs},
    {LIBSSH2_METHOD_MAC_SC, kMacs},
    // Checkpoints do not compress, and one thread per lane has no time for it.
    {LIBSSH2_METHOD_COMP_CS, "none"},
    {LIBSSH2_METHOD_COMP_SC, "none"},
}};

}  // namespace

Status OfferAlgorithms(LIBSSH2_SESSION* session) {
  for (const auto& [method, names] : kOffers) {
    // Names that this build of libssh2 lacks are left out by it; none left is an error.
    const int status = libssh2_session_method_pref(session, method, names);
    if (status != 0) {
      return SessionError(session, status, "choosing the SSH algorithms");
    }
  }
  return {};
}

}  // namespace bt::ssh
