#include "transport/access/api_client.h"

#include <atomic>
#include <future>
#include <latch>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/unit/access/test_server.h"

namespace bt::access {
namespace {

using namespace std::chrono_literals;
using testing::HttpReply;
using testing::HttpRequest;
using testing::ServeHttp;
using testing::TestServer;

constexpr const char* kKey = "hidden-api-key";
constexpr const char* kJob =
    R"({"training_jobs":[{"id":"abc1234","current_status":"TRAINING_JOB_RUNNING","training_project_id":"p1"}]})";
constexpr const char* kGrant = R"({"ssh_certificate":"c","jwt":"j","proxy_address":"h:1"})";

class ApiClientTest : public ::testing::Test {
 protected:
  ApiClientTest() {
    target_.job = "abc1234";
    target_.node = 2;
    options_.retry.base = 2ms;
    options_.retry.cap = 4ms;
    options_.chance = [] { return 1.0; };
    options_.on_retry = [this](std::string_view text) { notes_.emplace_back(text); };
  }

  std::unique_ptr<ApiClient> Client(std::uint16_t port, const std::string& host = "localhost") {
    Credentials credentials;
    credentials.api_key = Secret(kKey);
    credentials.api_base = "https://" + host + ":" + std::to_string(port);
    credentials.origin = "the test";
    options_.http.ca.file = files_.Write("ca.pem", ca_.pem());
    return std::make_unique<ApiClient>(std::move(credentials), options_);
  }
  std::unique_ptr<TestServer> Serve(std::function<std::string(const HttpRequest&)> answer) {
    return std::make_unique<TestServer>(ca_.Issue(), ServeHttp(std::move(answer)));
  }
  static OpContext Soon(std::stop_token cancel = {}) { return OpContext::WithTimeout(30s, std::move(cancel)); }

  testing::TestCa ca_;
  testing::TempDirectory files_;
  Target target_;
  ApiOptions options_;
  std::vector<std::string> notes_;
};

TEST_F(ApiClientTest, FindsAndSignsOnOneConnection) {
  testing::Shared<std::vector<HttpRequest>> seen;
  const auto server = Serve([&](const HttpRequest& request) {
    seen.Change([&](auto& requests) { requests.push_back(request); });
    return HttpReply("200 OK", request.target.ends_with("/search") ? kJob : kGrant);
  });
  const auto client = Client(server->port());
  const Result<JobInfo> job = client->FindJob(Soon(), target_);
  ASSERT_TRUE(job.ok()) << job.error().text;
  EXPECT_EQ(job->project_id, "p1");
  const Result<Grant> grant = client->Sign(Soon(), target_, job->project_id, "ssh-ed25519 AAAA me");
  ASSERT_TRUE(grant.ok()) << grant.error().text;

  EXPECT_EQ(server->connections(), 1);
  std::vector<HttpRequest> requests = seen.Get();
  ASSERT_EQ(requests.size(), 2U);
  EXPECT_EQ(requests[0].target, "POST /v1/training_jobs/search");
  EXPECT_EQ(requests[0].body, R"({"job_id":"abc1234"})");
  EXPECT_EQ(requests[0].headers["authorization"], std::string("Bearer ") + kKey);
  EXPECT_EQ(requests[0].headers["content-type"], "application/json");
  EXPECT_TRUE(requests[0].headers["user-agent"].starts_with("bt-mount/"));
  EXPECT_EQ(requests[1].target, "POST /v1/training_projects/p1/jobs/abc1234/ssh/sign");
  const auto body = nlohmann::json::parse(requests[1].body);
  EXPECT_EQ(body, (nlohmann::json{{"public_key", "ssh-ed25519 AAAA me"}, {"replica_id", "2"}}));
}

TEST_F(ApiClientTest, SignsForModels) {
  testing::Shared<std::vector<HttpRequest>> seen;
  const auto server = Serve([&](const HttpRequest& request) {
    seen.Change([&](auto& requests) { requests.push_back(request); });
    return HttpReply("200 OK", kGrant);
  });
  const auto client = Client(server->port());
  ASSERT_TRUE(client->Sign(Soon(), *ParseTarget("model-m1-d1"), "", "key").ok());
  ASSERT_TRUE(client->Sign(Soon(), *ParseTarget("model-m1-d1-r-1"), "", "key").ok());
  const std::vector<HttpRequest> requests = seen.Get();
  EXPECT_EQ(requests[0].target, "POST /v1/models/m1/deployments/d1/ssh/sign");
  EXPECT_EQ(requests[0].body, R"({"public_key":"key"})");
  EXPECT_EQ(nlohmann::json::parse(requests[1].body)["replica_id"], "r-1");
}

TEST_F(ApiClientTest, TriesAgainAfter429And5xxAndBrokenConnections) {
  std::atomic<int> calls = 0;
  const auto server = Serve([&](const HttpRequest&) {
    switch (calls++) {
      case 0:
        return HttpReply("503 Service Unavailable", "<html>");
      case 1:
        return HttpReply("429 Too Many Requests", R"({"error":"slow down"})", "Retry-After: 0\r\n");
      case 2:
        return std::string();  // hangs up
      default:
        return HttpReply("200 OK", kJob);
    }
  });
  const auto client = Client(server->port());
  const Result<JobInfo> job = client->FindJob(Soon(), target_);
  ASSERT_TRUE(job.ok()) << job.error().text;
  ASSERT_GE(notes_.size(), 2U);  // libcurl repeats by itself when a connection it had kept turns out to be gone
  EXPECT_NE(notes_[1].find("slow down"), std::string::npos) << notes_[1];
}

TEST_F(ApiClientTest, GivesUpAfterItsAttempts) {
  std::atomic<int> calls = 0;
  const auto server = Serve([&](const HttpRequest&) {
    ++calls;
    return HttpReply("500 Oops", R"({"message":"broken"})");
  });
  const Result<JobInfo> job = Client(server->port())->FindJob(Soon(), target_);
  EXPECT_EQ(job.error().code, Code::kUnavailable);
  EXPECT_NE(job.error().text.find("broken"), std::string::npos);
  EXPECT_NE(job.error().text.find("tried 4 times"), std::string::npos);
  EXPECT_EQ(calls, 4);
}

TEST_F(ApiClientTest, FailsAtOnceWhereAnotherTryWillNotHelp) {
  std::atomic<int> calls = 0;
  const auto server = Serve([&](const HttpRequest&) {
    ++calls;
    return HttpReply("401 Unauthorized", std::string(R"({"error":"bad key )") + kKey + "\"}");
  });
  const Result<JobInfo> job = Client(server->port())->FindJob(Soon(), target_);
  EXPECT_EQ(job.error().code, Code::kRefused);
  EXPECT_EQ(job.error().tag, "access.key-refused");
  EXPECT_NE(job.error().text.find("bad key ***"), std::string::npos) << job.error().text;
  EXPECT_EQ(job.error().text.find(kKey), std::string::npos);
  EXPECT_EQ(calls, 1);
}

TEST_F(ApiClientTest, DoesNotFollowRedirectionsWithTheKey) {
  std::atomic<int> elsewhere = 0;
  const auto other = Serve([&](const HttpRequest&) {
    ++elsewhere;
    return HttpReply("200 OK", kJob);
  });
  const std::string location = "Location: https://localhost:" + std::to_string(other->port()) + "/\r\n";
  const auto server = Serve([&](const HttpRequest&) { return HttpReply("307 Elsewhere", "", location); });
  const Result<JobInfo> job = Client(server->port())->FindJob(Soon(), target_);
  EXPECT_EQ(job.error().tag, "access.redirect");
  EXPECT_EQ(elsewhere, 0);
}

TEST_F(ApiClientTest, HonoursRetryAfterOnlyWithinTheDeadline) {
  std::atomic<int> calls = 0;
  const auto server = Serve([&](const HttpRequest&) {
    ++calls;
    return HttpReply("429 Too Many Requests", "", "Retry-After: 60\r\n");
  });
  const Result<JobInfo> job = Client(server->port())->FindJob(Soon(), target_);
  EXPECT_EQ(job.error().code, Code::kUnavailable);
  EXPECT_NE(job.error().text.find("asks to wait 1 min"), std::string::npos) << job.error().text;
  EXPECT_EQ(calls, 1);
}

TEST_F(ApiClientTest, WaitsNoLongerThanItsDeadline) {
  std::promise<void> asked;
  const TestServer server(ca_.Issue(), [&](testing::Peer& peer) {
    asked.set_value();
    peer.WaitForClientToLeave();
  });
  const Result<JobInfo> job = Client(server.port())->FindJob(OpContext::WithTimeout(300ms), target_);
  EXPECT_EQ(job.error().code, Code::kTimedOut);
  EXPECT_EQ(asked.get_future().wait_for(10s), std::future_status::ready);
}

TEST_F(ApiClientTest, AttemptTimesOutAndIsRepeated) {
  std::atomic<int> connections = 0;
  const TestServer server(ca_.Issue(), [&](testing::Peer& peer) {
    if (connections++ == 0) {
      peer.WaitForClientToLeave();
    } else {
      ServeHttp([](const HttpRequest&) { return HttpReply("200 OK", kJob); })(peer);
    }
  });
  options_.http.attempt_timeout = 500ms;
  const Result<JobInfo> job = Client(server.port())->FindJob(Soon(), target_);
  EXPECT_TRUE(job.ok()) << job.error().text;
  EXPECT_FALSE(notes_.empty());
}

TEST_F(ApiClientTest, CanBeCancelledWhileItWaitsForAnAnswer) {
  std::stop_source stop;
  const TestServer server(ca_.Issue(), [&](testing::Peer& peer) {
    peer.Read(1);
    stop.request_stop();
    peer.WaitForClientToLeave();
  });
  const Result<JobInfo> job = Client(server.port())->FindJob(OpContext{TimePoint::max(), stop.get_token()}, target_);
  EXPECT_EQ(job.error().code, Code::kInterrupted);
}

TEST_F(ApiClientTest, CanBeCancelledBetweenAttempts) {
  std::stop_source stop;
  const auto server = Serve([](const HttpRequest&) { return HttpReply("500 Oops", "", "Retry-After: 100\r\n"); });
  options_.on_retry = [&](std::string_view) { stop.request_stop(); };
  const Result<JobInfo> job = Client(server->port())->FindJob(OpContext{TimePoint::max(), stop.get_token()}, target_);
  EXPECT_EQ(job.error().code, Code::kInterrupted);
}

TEST_F(ApiClientTest, TellsBadCertificatesApart) {
  const testing::TestCa stranger;
  struct Row {
    testing::Certificate certificate;
    const char* tag;
  };
  testing::CertificateOptions other_name;
  other_name.names = "DNS:example.com";
  testing::CertificateOptions expired;
  expired.valid_to = -60s;
  for (const Row& row : {Row{stranger.Issue(), "access.tls-ca"}, Row{ca_.Issue(other_name), "access.tls-name"},
                         Row{ca_.Issue(expired), "access.tls-expired"}}) {
    std::atomic<int> requests = 0;
    const TestServer server(row.certificate, [&](testing::Peer& peer) { requests += peer.Read(1).empty() ? 0 : 1; });
    const Result<JobInfo> job = Client(server.port())->FindJob(Soon(), target_);
    EXPECT_EQ(job.error().tag, row.tag) << job.error().text;
    EXPECT_EQ(job.error().code, Code::kRefused);
    EXPECT_EQ(requests, 0);
    EXPECT_EQ(server.connections(), 1);
  }
}

TEST_F(ApiClientTest, NamesTheReasonItCannotReachTheApi) {
  std::uint16_t closed = 0;
  {
    const TestServer gone(std::nullopt, [](testing::Peer&) {});
    closed = gone.port();
  }
  options_.retry.attempts = 1;
  EXPECT_EQ(Client(closed)->FindJob(Soon(), target_).error().tag, "access.connect");
  EXPECT_EQ(Client(443, "does-not-exist.invalid")->FindJob(Soon(), target_).error().tag, "access.dns");
  const TestServer no_tls(std::nullopt, [](testing::Peer& peer) { peer.Write("HTTP/1.1 400 Bad Request\r\n\r\n"); });
  EXPECT_EQ(Client(no_tls.port())->FindJob(Soon(), target_).error().tag, "access.tls");
}

TEST_F(ApiClientTest, SaysWhenTheAuthoritiesCannotBeRead) {
  const auto server = Serve([](const HttpRequest&) { return HttpReply("200 OK", kJob); });
  const auto unused = Client(server->port());
  options_.http.ca.file = files_.path() + "/none.pem";
  Credentials credentials;
  credentials.api_key = Secret(kKey);
  credentials.api_base = "https://localhost:" + std::to_string(server->port());
  ApiClient client(std::move(credentials), options_);
  const Result<JobInfo> job = client.FindJob(Soon(), target_);
  EXPECT_EQ(job.error().code, Code::kConfig) << job.error().text;
  EXPECT_NE(job.error().text.find("SSL_CERT_FILE="), std::string::npos) << job.error().text;
}

TEST_F(ApiClientTest, BoundsTheAnswer) {
  const auto server = Serve([](const HttpRequest&) { return HttpReply("200 OK", std::string(3'000'000, ' ')); });
  const Result<JobInfo> job = Client(server->port())->FindJob(Soon(), target_);
  EXPECT_EQ(job.error().tag, "access.http-too-big");
}

TEST_F(ApiClientTest, RefusesAnswersThatAreNotJson) {
  const auto server = Serve([](const HttpRequest&) { return HttpReply("200 OK", "<html>Please sign in</html>"); });
  EXPECT_EQ(Client(server->port())->FindJob(Soon(), target_).error().tag, "access.not-json");
}

TEST_F(ApiClientTest, ServesSeveralThreads) {
  const auto server = Serve([](const HttpRequest&) { return HttpReply("200 OK", kJob); });
  const auto client = Client(server->port());
  std::vector<std::jthread> threads;
  threads.reserve(4);
  std::atomic<int> good = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 5; ++n) {
        good += client->FindJob(Soon(), target_).ok() ? 1 : 0;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(good, 20);
}

TEST(RetryDelay, DoublesUpToItsCapWithFullJitter) {
  const RetryPolicy policy{10, 500ms, 8s};
  EXPECT_EQ(RetryDelay(policy, 0, 1.0, std::nullopt), 500ms);
  EXPECT_EQ(RetryDelay(policy, 1, 1.0, std::nullopt), 1s);
  EXPECT_EQ(RetryDelay(policy, 3, 0.5, std::nullopt), 2s);
  EXPECT_EQ(RetryDelay(policy, 1000, 1.0, std::nullopt), 8s);
  EXPECT_EQ(RetryDelay(policy, 5, 0.0, std::nullopt), 0s);
  EXPECT_EQ(RetryDelay(policy, 0, 0.5, 7s), 7250ms);
}

}  // namespace
}  // namespace bt::access
