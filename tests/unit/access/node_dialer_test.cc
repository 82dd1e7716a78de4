// The steps before SSH; the rest of the way needs an sshd and is walked by the contract and end-to-end tests.
#include "transport/node_dialer.h"

#include <atomic>

#include <gtest/gtest.h>

#include "tests/unit/access/test_server.h"

namespace bt {
namespace {

using namespace std::chrono_literals;
using access::testing::HttpReply;
using access::testing::HttpRequest;
using access::testing::Peer;
using access::testing::ServeHttp;
using access::testing::TestServer;

constexpr const char* kKey = "hidden-api-key";
constexpr const char* kJwt = "hidden.json.token";

std::string JobIn(const std::string& state) {
  return R"({"training_jobs":[{"id":"abc1234","current_status":"TRAINING_JOB_)" + state +
         R"(","training_project_id":"p1"}]})";
}

class NodeDialerTest : public ::testing::Test {
 protected:
  NodeDialerTest()
      : api_(ca_.Issue(), ServeHttp([this](const HttpRequest& request) {
               const bool search = request.target.ends_with("/search");
               ++(search ? searches_ : signs_);
               return (search ? search_reply_ : sign_reply_).Get();
             })),
        proxy_(ca_.Issue(), [](Peer& peer) { peer.Read(1); }) {
    search_reply_.Set(HttpReply("200 OK", JobIn("RUNNING")));
    sign_reply_.Set(HttpReply("200 OK", std::string(R"({"ssh_certificate":"c","jwt":")") + kJwt +
                                            R"(","proxy_address":"localhost:)" + std::to_string(proxy_.port()) +
                                            "\"}"));
  }

  std::unique_ptr<NodeDialer> Dialer(const std::string& target = "abc1234/1") {
    const auto environment =
        access::Environment::Of({{"HOME", files_.path()},
                                 {"BASETEN_API_KEY", kKey},
                                 {"BASETEN_BASE_URL", "https://localhost:" + std::to_string(api_.port())},
                                 {"SSL_CERT_FILE", files_.Write("ca.pem", ca_.pem())}});
    auto key_pair = ChooseKeyPair(environment);
    auto credentials = access::FindCredentials(environment, {});
    EXPECT_TRUE(key_pair.ok() && credentials.ok());
    return std::make_unique<NodeDialer>(*access::ParseTarget(target), std::move(credentials).value(),
                                        std::move(key_pair).value(), DialerOptions::From(environment));
  }
  static Error Refused(NodeDialer& dialer) {
    const Result<DialedNode> node = dialer.Dial(OpContext::WithTimeout(30s));
    EXPECT_FALSE(node.ok());
    Error error = node.ok() ? Error{} : node.error();
    EXPECT_EQ(error.text.find("hidden"), std::string::npos) << error.text;
    EXPECT_EQ(error.fate, Fate::kNotSent);
    return error;
  }

  access::testing::TestCa ca_;
  access::testing::TempDirectory files_;
  access::testing::Shared<std::string> search_reply_;
  access::testing::Shared<std::string> sign_reply_;
  std::atomic<int> searches_ = 0;
  std::atomic<int> signs_ = 0;
  TestServer api_;
  TestServer proxy_;
};

TEST_F(NodeDialerTest, SearchesOnceAndSignsForEachConnection) {
  const auto dialer = Dialer();
  for (int i = 0; i < 3; ++i) {
    const Error error = Refused(*dialer);
    EXPECT_EQ(error.tag, "access.proxy-refused");
    EXPECT_TRUE(error.text.starts_with("node 1 of job abc1234 (connecting to the proxy): ")) << error.text;
  }
  EXPECT_EQ(searches_, 1);
  EXPECT_EQ(signs_, 3);
}

TEST_F(NodeDialerTest, AsksForNoCertificateOfAJobThatDoesNotRun) {
  search_reply_.Set(HttpReply("200 OK", JobIn("STOPPED")));
  const Error error = Refused(*Dialer());
  EXPECT_EQ(error.code, Code::kNotRunning);
  EXPECT_NE(error.text.find("STOPPED"), std::string::npos) << error.text;
  EXPECT_EQ(signs_, 0);
}

TEST_F(NodeDialerTest, TellsTheStateOfAJobThatEndedMeanwhile) {
  const auto dialer = Dialer();
  EXPECT_EQ(Refused(*dialer).tag, "access.proxy-refused");
  search_reply_.Set(HttpReply("200 OK", JobIn("COMPLETED")));
  sign_reply_.Set(HttpReply("400 Bad Request", R"({"error":"Training job must be in RUNNING state"})"));
  const Error error = Refused(*dialer);
  EXPECT_EQ(error.code, Code::kNotRunning);
  EXPECT_NE(error.text.find("COMPLETED"), std::string::npos) << error.text;
}

TEST_F(NodeDialerTest, SaysWhichStepFailed) {
  sign_reply_.Set(HttpReply("404 Not Found", ""));
  const Error error = Refused(*Dialer());
  EXPECT_EQ(error.tag, "access.node-refused");
  EXPECT_NE(error.text.find("(asking for a certificate)"), std::string::npos) << error.text;
}

TEST_F(NodeDialerTest, NeedsNoSearchForModels) {
  const auto dialer = Dialer("model-m1-d1");
  EXPECT_EQ(Refused(*dialer).tag, "access.proxy-refused");
  EXPECT_EQ(searches_, 0);
  EXPECT_EQ(dialer->FindJob(OpContext::WithTimeout(30s)).error().code, Code::kInvalid);
}

TEST_F(NodeDialerTest, RefusesAKeyFileThatCannotBeUsed) {
  files_.Write(".ssh/baseten/id_ed25519", "not a key");
  const auto key_pair = ChooseKeyPair(access::Environment::Of({{"HOME", files_.path()}}));
  ASSERT_FALSE(key_pair.ok());
  EXPECT_EQ(key_pair.error().code, Code::kConfig);
}

}  // namespace
}  // namespace bt
