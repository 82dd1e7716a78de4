#include "tests/support/standin/jwt.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

namespace bt::standin {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string EncodeBase64Url(std::string_view bytes) {
  std::string text;
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const char c : bytes) {
    bits = (bits << 8U) | static_cast<unsigned char>(c);
    for (count += 8; count >= 6; count -= 6) {
      text += kAlphabet[(bits >> (count - 6)) & 63U];
    }
  }
  if (count > 0) {
    text += kAlphabet[(bits << (6 - count)) & 63U];
  }
  return text;
}

std::string DecodeBase64Url(std::string_view text) {
  std::string bytes;
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const char c : text) {
    const std::size_t value = kAlphabet.find(c);
    if (value == std::string_view::npos) {
      return {};
    }
    bits = (bits << 6U) | static_cast<std::uint32_t>(value);
    if (count += 6; count >= 8) {
      count -= 8;
      bytes += static_cast<char>((bits >> count) & 255U);
    }
  }
  return bytes;
}

std::string RandomBytes(std::size_t size) {
  std::string bytes(size, '\0');
  RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(size));
  return bytes;
}

std::int64_t UnixNow() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

Error Refusal(std::string text) { return Error{Code::kRefused, std::move(text), "standin.token"}; }

}  // namespace

TokenIssuer::TokenIssuer() : secret_(RandomBytes(32)) {}

std::string TokenIssuer::Sign(std::string_view text) const {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  HMAC(EVP_sha256(), secret_.data(), static_cast<int>(secret_.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(), &size);
  return {reinterpret_cast<const char*>(digest.data()), size};
}

std::string TokenIssuer::Issue(const TokenClaims& claims, std::chrono::seconds lifetime) const {
  const std::int64_t now = UnixNow();
  const nlohmann::json payload{{"iss", "standin"},
                               {"sub", claims.subject},
                               {"replica_id", claims.node},
                               {"jti", EncodeBase64Url(RandomBytes(12))},
                               {"iat", now},
                               {"exp", now + lifetime.count()}};
  const std::string text = EncodeBase64Url(R"({"alg":"HS256","typ":"JWT"})") + "." + EncodeBase64Url(payload.dump());
  return text + "." + EncodeBase64Url(Sign(text));
}

Result<TokenClaims> TokenIssuer::Redeem(std::string_view token, bool single_use) {
  const std::size_t dot = token.find('.');
  const std::size_t last_dot = token.rfind('.');
  if (dot == std::string_view::npos || dot == last_dot) {
    return Refusal("the token is not a JSON Web Token");
  }
  const std::string expected = EncodeBase64Url(Sign(token.substr(0, last_dot)));
  const std::string_view signature = token.substr(last_dot + 1);
  if (signature.size() != expected.size() || CRYPTO_memcmp(signature.data(), expected.data(), expected.size()) != 0) {
    return Refusal("the token's signature is wrong");
  }
  // The signature is ours, so the rest is what Issue() wrote.
  const nlohmann::json payload =
      nlohmann::json::parse(DecodeBase64Url(token.substr(dot + 1, last_dot - dot - 1)), nullptr, false);
  if (payload.is_discarded()) {
    return Refusal("the token's payload is not JSON");
  }
  if (payload["exp"].get<std::int64_t>() <= UnixNow()) {
    return Refusal("the token has expired");
  }
  MutexLock lock(mutex_);
  if (!used_.insert(payload["jti"].get<std::string>()).second && single_use) {
    return Refusal("the token was used before");
  }
  return TokenClaims{.subject = payload["sub"].get<std::string>(), .node = payload["replica_id"].get<int>()};
}

}  // namespace bt::standin
