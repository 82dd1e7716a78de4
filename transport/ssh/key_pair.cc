#include "transport/ssh/key_pair.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "transport/base/unique_fd.h"
#include "transport/ssh/openssh_key.h"
#include "transport/ssh/wire.h"

namespace bt::ssh {
namespace {

// A 16384-bit RSA key is 13 KB; anything much larger is not a key.
constexpr std::size_t kMaxKeyFile = 64 * 1024;

constexpr std::string_view kEd25519 = "ssh-ed25519";
constexpr std::string_view kRsa = "ssh-rsa";
constexpr std::string_view kCertificateSuffix = "-cert-v01@openssh.com";

Error ConfigError(std::string text, std::string tag) {
  return Error{Code::kConfig, std::move(text), std::move(tag), Fate::kNotSent};
}

Error CryptoError(std::string_view what) {
  ERR_clear_error();
  return Error{Code::kInternal, fmt::format("OpenSSL failed to {}", what), "ssh.crypto", Fate::kNotSent};
}

// The whole file, or kNotFound, or kConfig. Read with read(2): stream buffers would keep copies.
Result<SecretBytes> ReadKeyFile(const std::filesystem::path& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) {
    if (errno == ENOENT || errno == ENOTDIR) {
      return Error{Code::kNotFound, fmt::format("there is no {}", path.string()), "ssh.key-missing", Fate::kNotSent};
    }
    return ConfigError(fmt::format("cannot read the SSH key {}: {}", path.string(), SystemText(errno)), "ssh.key-read");
  }
  SecretBytes bytes(kMaxKeyFile + 1);
  std::size_t size = 0;
  while (size < bytes.size()) {
    const ssize_t got = ::read(fd.get(), bytes.data() + size, bytes.size() - size);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return ConfigError(fmt::format("cannot read the SSH key {}: {}", path.string(), SystemText(errno)),
                         "ssh.key-read");
    }
    if (got == 0) {
      break;
    }
    size += static_cast<std::size_t>(got);
  }
  if (size > kMaxKeyFile) {
    return ConfigError(fmt::format("{} is too large to be an SSH key", path.string()), "ssh.key-read");
  }
  bytes.resize(size);
  return bytes;
}

int NoPassphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

Result<UniquePkey> ParsePem(std::string_view text, std::string_view name) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())),
                                                      &BIO_free);
  if (!bio) {
    return CryptoError("read a key");
  }
  bool asked_for_passphrase = false;
  UniquePkey key(PEM_read_bio_PrivateKey(bio.get(), nullptr, &NoPassphrase, &asked_for_passphrase));
  ERR_clear_error();
  if (asked_for_passphrase) {
    return EncryptedKeyError(name);
  }
  if (!key) {
    return ConfigError(
        fmt::format("{} holds no private key that bt-mount can read; make one with `truss ssh setup`, or "
                    "move it away and bt-mount makes a key for each mount",
                    name),
        "ssh.key-format");
  }
  return key;
}

std::vector<std::byte> RsaNumber(const EVP_PKEY* key, const char* name) {
  BIGNUM* number = nullptr;
  if (EVP_PKEY_get_bn_param(key, name, &number) != 1) {
    return {};
  }
  std::vector<std::byte> bytes(static_cast<std::size_t>(BN_num_bytes(number)));
  BN_bn2bin(number, reinterpret_cast<unsigned char*>(bytes.data()));
  BN_free(number);
  return bytes;
}

// The digest a signature algorithm of SSH uses; Ed25519 has its own within.
Result<const EVP_MD*> DigestOf(std::string_view algorithm, std::string_view key_type) {
  if (algorithm.ends_with(kCertificateSuffix)) {
    algorithm.remove_suffix(kCertificateSuffix.size());
  }
  if (key_type == kEd25519 && algorithm == kEd25519) {
    return nullptr;
  }
  if (key_type == kRsa && algorithm == "rsa-sha2-512") {
    return EVP_sha512();
  }
  if (key_type == kRsa && algorithm == "rsa-sha2-256") {
    return EVP_sha256();
  }
  if (key_type == kRsa && algorithm == kRsa) {
    return EVP_sha1();  // servers before OpenSSH 7.8 take nothing else with an RSA certificate
  }
  return Error{Code::kUnsupported, fmt::format("a {} key cannot sign with {}", key_type, algorithm), "ssh.algorithm",
               Fate::kNotSent};
}

}  // namespace

void FreePkey::operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }

KeyPair::KeyPair(UniquePkey key, std::string type, std::vector<std::byte> public_blob)
    : key_(std::move(key)), type_(std::move(type)), public_blob_(std::move(public_blob)) {}

Result<std::unique_ptr<KeyPair>> KeyPair::Load(const std::filesystem::path& ssh_dir) {
  for (const char* name : {"id_ed25519", "id_rsa"}) {
    const std::filesystem::path path = ssh_dir / name;
    Result<SecretBytes> text = ReadKeyFile(path);
    if (text.ok()) {
      return Parse(WireReader::AsText(*text), path.string());
    }
    if (text.error().code != Code::kNotFound) {
      return std::move(text).error();
    }
  }
  return Error{Code::kNotFound, fmt::format("there is no id_ed25519 and no id_rsa in {}", ssh_dir.string()),
               "ssh.key-missing", Fate::kNotSent};
}

Result<std::unique_ptr<KeyPair>> KeyPair::Parse(std::string_view text, std::string_view name) {
  if (LooksLikeOpensshKey(text)) {
    return FromPkey(TRY(ParseOpensshKey(text, name)), name);
  }
  return FromPkey(TRY(ParsePem(text, name)), name);
}

Result<std::unique_ptr<KeyPair>> KeyPair::Generate() {
  UniquePkey key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  if (!key) {
    return CryptoError("make an Ed25519 key");
  }
  return FromPkey(std::move(key), "the new key");
}

Result<std::unique_ptr<KeyPair>> KeyPair::FromPkey(UniquePkey key, std::string_view name) {
  std::vector<std::byte> blob;
  if (EVP_PKEY_is_a(key.get(), "ED25519") == 1) {
    std::array<std::byte, 32> half{};
    std::size_t size = half.size();
    if (EVP_PKEY_get_raw_public_key(key.get(), reinterpret_cast<unsigned char*>(half.data()), &size) != 1) {
      return CryptoError("read a public key");
    }
    AppendString(blob, kEd25519);
    AppendString(blob, half);
    return std::unique_ptr<KeyPair>(new KeyPair(std::move(key), std::string(kEd25519), std::move(blob)));
  }
  if (EVP_PKEY_is_a(key.get(), "RSA") == 1) {
    const std::vector<std::byte> e = RsaNumber(key.get(), OSSL_PKEY_PARAM_RSA_E);
    const std::vector<std::byte> n = RsaNumber(key.get(), OSSL_PKEY_PARAM_RSA_N);
    if (e.empty() || n.empty()) {
      return CryptoError("read a public key");
    }
    AppendString(blob, kRsa);
    AppendMpint(blob, e);
    AppendMpint(blob, n);
    return std::unique_ptr<KeyPair>(new KeyPair(std::move(key), std::string(kRsa), std::move(blob)));
  }
  return ConfigError(fmt::format("{} is neither an Ed25519 nor an RSA key; make one with `truss ssh setup`, or move it "
                                 "away and bt-mount makes a key for each mount",
                                 name),
                     "ssh.key-format");
}

std::string KeyPair::public_key_line() const {
  return fmt::format("{} {} bt-mount", type_, EncodeBase64(public_blob_));
}

Result<std::vector<std::byte>> KeyPair::Sign(std::string_view algorithm, std::span<const std::byte> data) const {
  const EVP_MD* digest = TRY(DigestOf(algorithm, type_));
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  const auto* bytes = reinterpret_cast<const unsigned char*>(data.data());
  std::size_t size = 0;
  if (!context || EVP_DigestSignInit(context.get(), nullptr, digest, nullptr, key_.get()) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &size, bytes, data.size()) != 1) {
    return CryptoError("sign");
  }
  std::vector<std::byte> signature(size);
  if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, bytes, data.size()) !=
      1) {
    return CryptoError("sign");
  }
  signature.resize(size);
  return signature;
}

}  // namespace bt::ssh
