#include <nlohmann/json.hpp>

#include "tests/unit/standin/test_tools.h"

namespace bt::standin {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using ApiTest = StandinTest;

TEST_F(ApiTest, FindsTheJobAndSignsForItsNode) {
  const HttpResponse found = Search("demo123");
  ASSERT_EQ(found.status, 200) << found.body;
  const json job = json::parse(found.body)["training_jobs"][0];
  EXPECT_EQ(job["id"], "demo123");
  EXPECT_EQ(job["current_status"], "TRAINING_JOB_RUNNING");
  EXPECT_EQ(job["training_project"]["id"], "prj12345");

  const HttpResponse granted = Sign();
  ASSERT_EQ(granted.status, 200) << granted.body;
  const json access = json::parse(granted.body);
  EXPECT_TRUE(access["ssh_certificate"].get<std::string>().starts_with("ssh-ed25519-cert-v01@openssh.com "));
  EXPECT_EQ(access["proxy_address"], standin_->proxy_address());
  EXPECT_EQ(access["ssh_cert_expires_at"].get<std::string>().size(), 20U);
  EXPECT_EQ(standin_->counters().api_calls.at("search"), 1U);
  EXPECT_EQ(standin_->counters().api_calls.at("sign"), 1U);
}

TEST_F(ApiTest, ChecksTheKeyInBothForms) {
  const std::string path = "/v1/training_jobs/search";
  const std::string body = R"({"job_id":"demo123"})";
  EXPECT_EQ(Call("POST", path, body, "Api-Key " + standin_->api_key()).status, 200);
  EXPECT_EQ(Call("POST", path, body, "Bearer wrong").status, 401);
  EXPECT_EQ(Call("POST", path, body, "").status, 403);
}

TEST_F(ApiTest, AnswersErrorsAsTheServiceDoes) {
  EXPECT_EQ(json::parse(Search("nosuch1").body)["training_jobs"].size(), 0U);
  EXPECT_EQ(Search("Not/An/Id").status, 400);
  EXPECT_EQ(Sign("1").status, 400);
  standin_->SetJobState("demo123", "TRAINING_JOB_STOPPED");
  const HttpResponse stopped = Sign();
  EXPECT_EQ(stopped.status, 400);
  EXPECT_NE(stopped.body.find("must be in RUNNING state"), std::string::npos);
  EXPECT_EQ(Call("POST", "/v1/nothing", "{}", "Bearer " + standin_->api_key()).status, 404);
  EXPECT_EQ(Call("GET", "/v1/training_projects/prj12345/jobs/demo123", "", "Bearer " + standin_->api_key()).status,
            200);
}

TEST_F(ApiTest, SignsForModels) {
  const std::string body = json{{"public_key", PublicKey()}}.dump();
  const std::string key = "Bearer " + standin_->api_key();
  EXPECT_EQ(Call("POST", "/v1/models/model123/deployments/deploy1/ssh/sign", body, key).status, 200);
  EXPECT_EQ(Call("POST", "/v1/models/other/deployments/deploy1/ssh/sign", body, key).status, 404);
  EXPECT_EQ(Call("POST", "/v1/models/model123/deployments/deploy1/ssh/sign", R"({"public_key":"x"})", key).status, 400);
}

TEST_F(ApiTest, FailsTheNextCallsAsTold) {
  standin_->SetApiFault(
      {.kind = ApiFaultKind::kStatus, .endpoint = "search", .calls = 2, .status = 429, .retry_after = 3});
  EXPECT_EQ(Sign().status, 200);  // the fault is for another endpoint
  for (int call = 0; call < 2; ++call) {
    const HttpResponse limited = Search("demo123");
    EXPECT_EQ(limited.status, 429);
    EXPECT_EQ(limited.headers.at("retry-after"), "3");
  }
  EXPECT_EQ(Search("demo123").status, 200);

  standin_->SetApiFault({.kind = ApiFaultKind::kHtml, .calls = 1, .status = 502});
  EXPECT_TRUE(Search("demo123").body.starts_with("<html>"));
  standin_->SetApiFault({.kind = ApiFaultKind::kGarbage, .calls = 1, .status = 200});
  EXPECT_TRUE(json::parse(Search("demo123").body, nullptr, false).is_discarded());
  standin_->SetApiFault({.kind = ApiFaultKind::kEmpty, .calls = 1, .status = 200});
  EXPECT_EQ(Search("demo123").body, "");
  standin_->SetApiFault({.kind = ApiFaultKind::kReset, .calls = 1});
  EXPECT_EQ(Search("demo123").status, 0);
  EXPECT_EQ(Search("demo123").status, 200);
}

TEST_F(ApiTest, SlowAnswersComeLateAndHangingOnesWhenCleared) {
  standin_->SetApiFault({.kind = ApiFaultKind::kSlow, .calls = 1, .wait = 50ms});
  const TimePoint start = Clock::now();
  EXPECT_EQ(Search("demo123").status, 200);
  EXPECT_GE(Clock::now() - start, 50ms);

  standin_->SetApiFault({.kind = ApiFaultKind::kHang});
  std::atomic<bool> answered{false};
  std::jthread caller([&] {
    EXPECT_EQ(Search("demo123").status, 200);
    answered = true;
  });
  while (standin_->counters().api_calls["search"] < 2) {
    std::this_thread::yield();
  }
  EXPECT_FALSE(answered);
  standin_->ClearApiFault();
  caller.join();
  EXPECT_TRUE(answered);
}

TEST_F(ApiTest, EndsWhileACallHangs) {
  standin_->SetApiFault({.kind = ApiFaultKind::kHang});
  const std::string url = standin_->api_url();
  Result<TlsStream> stream = TlsStream::Connect("localhost", url.substr(url.rfind(':') + 1));
  ASSERT_TRUE(stream.ok());
  stream->WriteAll("POST /v1/training_jobs/search HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
  while (standin_->counters().api_calls.empty()) {
    std::this_thread::yield();
  }
  standin_.reset();
}

TEST_F(ApiTest, CanBeDown) {
  ASSERT_TRUE(standin_->SetApiDown(true).ok());
  EXPECT_EQ(Search("demo123").status, 0);
  ASSERT_TRUE(standin_->SetApiDown(false).ok());
  EXPECT_EQ(Search("demo123").status, 200);
}

TEST_F(ApiTest, BadCertificatesAreNotTrusted) {
  for (const TlsCertificate kind : {TlsCertificate::kWrongName, TlsCertificate::kOtherCa, TlsCertificate::kExpired}) {
    standin_->SetApiCertificate(kind);
    const HttpResponse refused = Search("demo123");
    EXPECT_EQ(refused.status, 0);
    EXPECT_NE(refused.body.find("certificate verify failed"), std::string::npos) << refused.body;
  }
  standin_->SetApiCertificate(TlsCertificate::kGood);
  EXPECT_EQ(Search("demo123").status, 200);
}

TEST_F(ApiTest, KeepsAConnectionForSeveralCalls) {
  const auto access = RequestAccess({.job = "demo123", .node = "0"}, PublicKey());
  ASSERT_TRUE(access.ok()) << access.error().text;
  EXPECT_EQ(standin_->counters().api_link.connections, 1U);
}

}  // namespace
}  // namespace bt::standin
