// The token that opens the proxy: a JSON Web Token signed with HMAC-SHA256.
#pragma once

#include <chrono>
#include <set>
#include <string>
#include <string_view>

#include "transport/base/result.h"
#include "transport/base/sync.h"

namespace bt::standin {

struct TokenClaims {
  std::string subject;  // job or model
  int node = 0;
};

// Issues tokens and checks them, with a secret of its own.
//
// Threading: any thread.
class TokenIssuer {
 public:
  TokenIssuer();

  // A negative lifetime makes a token that has already expired.
  std::string Issue(const TokenClaims& claims, std::chrono::seconds lifetime) const;

  // kRefused when the signature is wrong, it expired, or it was used before and `single_use`.
  Result<TokenClaims> Redeem(std::string_view token, bool single_use);

 private:
  std::string Sign(std::string_view text) const;

  const std::string secret_;
  Mutex mutex_;
  std::set<std::string> used_ GUARDED_BY(mutex_);  // token ids
};

}  // namespace bt::standin
