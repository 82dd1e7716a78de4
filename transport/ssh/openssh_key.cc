#include "transport/ssh/openssh_key.h"

#include <fmt/format.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <array>

#include "transport/ssh/wire.h"

namespace bt::ssh {
namespace {

constexpr std::string_view kBegin = "-----BEGIN OPENSSH PRIVATE KEY-----";
constexpr std::string_view kEnd = "-----END OPENSSH PRIVATE KEY-----";
constexpr std::string_view kMagic{"openssh-key-v1\0", 15};

template <auto kFree>
struct FreeWith {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using Number = std::unique_ptr<BIGNUM, FreeWith<&BN_clear_free>>;

Error BadKey(std::string_view name, std::string_view why) {
  return Error{
      Code::kConfig,
      fmt::format("{} is not a usable private key ({}); make a new one with `truss ssh setup`, or move it away "
                  "and bt-mount makes a key for each mount",
                  name, why),
      "ssh.key-format", Fate::kNotSent};
}

Number ReadNumber(WireReader& reader) {
  const auto bytes = reader.String();
  if (!bytes || bytes->empty()) {
    return nullptr;
  }
  return Number(
      BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes->data()), static_cast<int>(bytes->size()), nullptr));
}

// remainder = d mod (prime - 1)
Number CrtExponent(const BIGNUM* d, const BIGNUM* prime, BN_CTX* scratch) {
  Number remainder(BN_secure_new());
  const Number less(BN_dup(prime));
  if (!remainder || !less || BN_sub_word(less.get(), 1) != 1 || BN_mod(remainder.get(), d, less.get(), scratch) != 1) {
    return nullptr;
  }
  return remainder;
}

UniquePkey ReadEd25519(WireReader& reader) {
  const auto public_half = reader.String();
  const auto both = reader.String();  // 32 bytes of seed, then the public half again
  if (!public_half || !both || public_half->size() != 32 || both->size() != 64) {
    return nullptr;
  }
  return UniquePkey(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr,
                                                 reinterpret_cast<const unsigned char*>(both->data()), 32));
}

UniquePkey ReadRsa(WireReader& reader) {
  const Number n = ReadNumber(reader);
  const Number e = ReadNumber(reader);
  const Number d = ReadNumber(reader);
  const Number iqmp = ReadNumber(reader);
  const Number p = ReadNumber(reader);
  const Number q = ReadNumber(reader);
  if (!n || !e || !d || !iqmp || !p || !q || BN_num_bits(n.get()) > 16384 || BN_is_zero(p.get()) ||
      BN_is_zero(q.get()) || BN_is_one(p.get()) || BN_is_one(q.get())) {
    return nullptr;
  }
  const std::unique_ptr<BN_CTX, FreeWith<&BN_CTX_free>> scratch(BN_CTX_secure_new());
  const Number dmp1 = CrtExponent(d.get(), p.get(), scratch.get());
  const Number dmq1 = CrtExponent(d.get(), q.get(), scratch.get());
  const std::unique_ptr<OSSL_PARAM_BLD, FreeWith<&OSSL_PARAM_BLD_free>> builder(OSSL_PARAM_BLD_new());
  if (!dmp1 || !dmq1 || !builder) {
    return nullptr;
  }
  const std::array<std::pair<const char*, const BIGNUM*>, 8> parts{{{OSSL_PKEY_PARAM_RSA_N, n.get()},
                                                                    {OSSL_PKEY_PARAM_RSA_E, e.get()},
                                                                    {OSSL_PKEY_PARAM_RSA_D, d.get()},
                                                                    {OSSL_PKEY_PARAM_RSA_FACTOR1, p.get()},
                                                                    {OSSL_PKEY_PARAM_RSA_FACTOR2, q.get()},
                                                                    {OSSL_PKEY_PARAM_RSA_EXPONENT1, dmp1.get()},
                                                                    {OSSL_PKEY_PARAM_RSA_EXPONENT2, dmq1.get()},
                                                                    {OSSL_PKEY_PARAM_RSA_COEFFICIENT1, iqmp.get()}}};
  for (const auto& [name, number] : parts) {
    if (OSSL_PARAM_BLD_push_BN(builder.get(), name, number) != 1) {
      return nullptr;
    }
  }
  const std::unique_ptr<OSSL_PARAM, FreeWith<&OSSL_PARAM_free>> parameters(OSSL_PARAM_BLD_to_param(builder.get()));
  const std::unique_ptr<EVP_PKEY_CTX, FreeWith<&EVP_PKEY_CTX_free>> context(
      EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr));
  EVP_PKEY* key = nullptr;
  if (!parameters || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_KEYPAIR, parameters.get()) != 1) {
    return nullptr;
  }
  // OSSL_PARAM_free does not wipe what is not in secure memory.
  for (OSSL_PARAM* part = parameters.get(); part->key != nullptr; ++part) {
    OPENSSL_cleanse(part->data, part->data_size);
  }
  return UniquePkey(key);
}

}  // namespace

Error EncryptedKeyError(std::string_view name) {
  return Error{Code::kConfig,
               fmt::format("{} has a passphrase, which bt-mount cannot ask for; remove it with `ssh-keygen -p -f {}`, "
                           "or make a key without one with `truss ssh setup`",
                           name, name),
               "ssh.key-encrypted", Fate::kNotSent};
}

bool LooksLikeOpensshKey(std::string_view text) { return text.find(kBegin) != std::string_view::npos; }

Result<UniquePkey> ParseOpensshKey(std::string_view text, std::string_view name) {
  const std::size_t begin = text.find(kBegin);
  const std::size_t end = text.find(kEnd);
  if (begin == std::string_view::npos || end == std::string_view::npos || end < begin + kBegin.size()) {
    return BadKey(name, "its last line is missing");
  }
  const auto bytes = DecodeBase64(text.substr(begin + kBegin.size(), end - begin - kBegin.size()));
  if (!bytes || !WireReader::AsText(*bytes).starts_with(kMagic)) {
    return BadKey(name, "it is damaged");
  }
  WireReader outer(std::span<const std::byte>(*bytes).subspan(kMagic.size()));
  const auto cipher = outer.Text();
  const auto kdf = outer.Text();
  const auto kdf_options = outer.String();
  const auto keys = outer.Uint32();
  const auto public_key = outer.String();
  const auto secret = outer.String();
  if (!cipher || !kdf || !kdf_options || !keys || !public_key || !secret) {
    return BadKey(name, "it is damaged");
  }
  if (*cipher != "none" || *kdf != "none") {
    return EncryptedKeyError(name);
  }
  WireReader inner(*secret);
  const auto check1 = inner.Uint32();
  const auto check2 = inner.Uint32();
  const auto type = inner.Text();
  if (*keys != 1 || !check1 || check1 != check2 || !type) {
    return BadKey(name, "it is damaged");
  }
  UniquePkey key;
  if (*type == "ssh-ed25519") {
    key = ReadEd25519(inner);
  } else if (*type == "ssh-rsa") {
    key = ReadRsa(inner);
  } else {
    return BadKey(name, "it is neither Ed25519 nor RSA");
  }
  if (!key) {
    return BadKey(name, "it is damaged");
  }
  return key;
}

}  // namespace bt::ssh
