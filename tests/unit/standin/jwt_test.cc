#include "tests/support/standin/jwt.h"

#include <gtest/gtest.h>

namespace bt::standin {
namespace {

using namespace std::chrono_literals;

TEST(TokenIssuer, RedeemsItsOwnToken) {
  TokenIssuer issuer;
  const auto claims = issuer.Redeem(issuer.Issue({.subject = "demo123", .node = 3}, 60s), false);
  ASSERT_TRUE(claims.ok()) << claims.error().text;
  EXPECT_EQ(claims->subject, "demo123");
  EXPECT_EQ(claims->node, 3);
}

TEST(TokenIssuer, RefusesATokenOfAnotherIssuer) {
  TokenIssuer issuer;
  TokenIssuer stranger;
  EXPECT_FALSE(issuer.Redeem(stranger.Issue({.subject = "demo123", .node = 0}, 60s), false).ok());
}

TEST(TokenIssuer, RefusesAChangedPayload) {
  TokenIssuer issuer;
  std::string token = issuer.Issue({.subject = "demo123", .node = 0}, 60s);
  char& byte = token[token.find('.') + 5];
  byte = byte == 'A' ? 'B' : 'A';
  EXPECT_FALSE(issuer.Redeem(token, false).ok());
  EXPECT_FALSE(issuer.Redeem("", false).ok());
  EXPECT_FALSE(issuer.Redeem("a.b", false).ok());
}

TEST(TokenIssuer, RefusesAnExpiredToken) {
  TokenIssuer issuer;
  EXPECT_FALSE(issuer.Redeem(issuer.Issue({.subject = "demo123", .node = 0}, -1s), false).ok());
}

TEST(TokenIssuer, TakesATokenOnceWhenSingleUse) {
  TokenIssuer issuer;
  const std::string token = issuer.Issue({.subject = "demo123", .node = 0}, 60s);
  EXPECT_TRUE(issuer.Redeem(token, true).ok());
  EXPECT_FALSE(issuer.Redeem(token, true).ok());
  EXPECT_TRUE(issuer.Redeem(token, false).ok());
}

}  // namespace
}  // namespace bt::standin
