#include "transport/access/api_replies.h"

#include <gtest/gtest.h>

namespace bt::access {
namespace {

Target JobTarget(unsigned node = 0) {
  Target target;
  target.job = "abc1234";
  target.node = node;
  return target;
}

TEST(Jobs, AreReadFromEitherShape) {
  for (const char* body :
       {R"({"training_jobs":[{"id":"abc1234","current_status":"TRAINING_JOB_RUNNING","training_project_id":"p1",
            "training_project":{"id":"p1","name":"mine"},"instance_type":{"name":"H100"},"new":{}}]})",
        R"([{"id":"abc1234","current_status":"TRAINING_JOB_RUNNING","training_project":{"id":"p1","name":"mine"},
            "instance_type":"H100"}])"}) {
    const Result<JobInfo> job = ParseJobs(body, "abc1234");
    ASSERT_TRUE(job.ok()) << job.error().text;
    EXPECT_EQ(job->id, "abc1234");
    EXPECT_EQ(job->project_id, "p1");
    EXPECT_EQ(job->project_name, "mine");
    EXPECT_EQ(job->instance_type, "H100");
    EXPECT_TRUE(CheckRunning(*job).ok());
  }
}

TEST(Jobs, PrefersTheOneAskedFor) {
  const auto job = ParseJobs(R"([{"id":"x","training_project_id":"px"},{"id":"y","training_project_id":"py"}])", "y");
  EXPECT_EQ(job->project_id, "py");
}

TEST(Jobs, ThatCannotBeReadAreErrors) {
  struct Row {
    const char* body;
    const char* tag;
  };
  for (const Row& row :
       {Row{R"({"training_jobs":[]})", "access.no-such-job"}, Row{"[]", "access.no-such-job"},
        Row{"<html>sign in</html>", "access.not-json"}, Row{"", "access.not-json"}, Row{"{}", "access.bad-reply"},
        Row{"7", "access.bad-reply"}, Row{R"({"training_jobs":{}})", "access.bad-reply"},
        Row{R"([{"id":"abc1234"}])", "access.bad-reply"}, Row{"[7]", "access.bad-reply"},
        Row{R"([{"training_project_id":"../../x"}])", "access.bad-reply"},
        Row{R"([{"training_project_id":5}])", "access.bad-reply"}}) {
    const Result<JobInfo> job = ParseJobs(row.body, "abc1234");
    ASSERT_FALSE(job.ok()) << row.body;
    EXPECT_EQ(job.error().tag, row.tag) << row.body;
  }
}

TEST(Running, IsWhatAJobMustBe) {
  JobInfo job;
  job.id = "abc1234";
  EXPECT_TRUE(CheckRunning(job).ok());
  job.status = "TRAINING_JOB_COMPLETED";
  Status status = CheckRunning(job);
  EXPECT_EQ(status.error().code, Code::kNotRunning);
  EXPECT_NE(status.error().text.find("abc1234 is COMPLETED"), std::string::npos);
  EXPECT_NE(status.error().text.find("over"), std::string::npos);
  job.status = "TRAINING_JOB_DEPLOYING";
  status = CheckRunning(job);
  EXPECT_NE(status.error().text.find("DEPLOYING"), std::string::npos);
  EXPECT_NE(status.error().text.find("Wait"), std::string::npos);
}

constexpr const char* kGrant =
    R"({"ssh_certificate":"ssh-ed25519-cert-v01@openssh.com AAAA\n","jwt":"j.w.t","proxy_address":"proxy.example.com:443",
        "ssh_cert_expires_at":"2026-01-31T10:00:00Z"})";

TEST(Grants, AreRead) {
  const Result<Grant> grant = ParseGrant(kGrant);
  ASSERT_TRUE(grant.ok());
  EXPECT_EQ(grant->certificate, "ssh-ed25519-cert-v01@openssh.com AAAA");
  EXPECT_EQ(grant->jwt.Reveal(), "j.w.t");
  EXPECT_EQ(grant->proxy.host, "proxy.example.com");
  EXPECT_EQ(grant->proxy.port, 443);
  EXPECT_EQ(grant->expires_at, ParseIsoTime("2026-01-31T10:00:00Z"));
}

TEST(Grants, NeedNoExpiryAndTakeAddresses) {
  const Result<Grant> grant = ParseGrant(R"({"ssh_certificate":"c","jwt":"j","proxy_address":"[::1]:2222"})");
  ASSERT_TRUE(grant.ok());
  EXPECT_EQ(grant->proxy.host, "::1");
  EXPECT_EQ(grant->expires_at, std::nullopt);
}

TEST(Grants, ThatLackSomethingAreErrorsThatNameIt) {
  struct Row {
    const char* body;
    const char* named;
  };
  for (const Row& row : {Row{R"({"jwt":"hidden","proxy_address":"h:1"})", "ssh_certificate"},
                         Row{R"({"ssh_certificate":"c","proxy_address":"h:1"})", "jwt"},
                         Row{R"({"ssh_certificate":"c","jwt":"","proxy_address":"h:1"})", "jwt"},
                         Row{R"({"ssh_certificate":"c","jwt":"hidden"})", "proxy_address"},
                         Row{R"({"ssh_certificate":["c"],"jwt":"hidden","proxy_address":"h:1"})", "ssh_certificate"},
                         Row{R"({"ssh_certificate":"c\nd","jwt":"hidden","proxy_address":"h:1"})", "certificate"},
                         Row{"[]", "ssh_certificate"}, Row{"hello", "not JSON"}}) {
    const Result<Grant> grant = ParseGrant(row.body);
    ASSERT_FALSE(grant.ok()) << row.body;
    EXPECT_NE(grant.error().text.find(row.named), std::string::npos) << grant.error().text;
    EXPECT_EQ(grant.error().text.find("hidden"), std::string::npos);
  }
}

TEST(Grants, RefuseProxyAddressesThatAreNone) {
  for (const char* address : {"host", "host:", ":1", "host:0", "host:65536", "host:x", "host:1x", "a b:1", "::1:22",
                              "host/x:1", "user@host:1", "[]:1", "host:-1", "http://host:1"}) {
    const std::string body = std::string(R"({"ssh_certificate":"c","jwt":"j","proxy_address":")") + address + R"("})";
    EXPECT_FALSE(ParseGrant(body).ok()) << address;
  }
}

TEST(ErrorText, FindsTheServersWordsInEveryShape) {
  EXPECT_EQ(ErrorText(R"({"error":"no such thing"})"), "no such thing");
  EXPECT_EQ(ErrorText(R"({"detail":"d"})"), "d");
  EXPECT_EQ(ErrorText(R"({"message":"m"})"), "m");
  EXPECT_EQ(ErrorText(R"({"error":null,"detail":"d"})"), "d");
  EXPECT_EQ(ErrorText(R"({"error":{"code":7,"message":"inner"}})"), "inner");
  EXPECT_EQ(ErrorText(R"({"detail":[{"loc":["body"],"msg":"field required"}]})"), "field required");
  EXPECT_EQ(ErrorText(R"(["first","second"])"), "first");
  EXPECT_EQ(ErrorText(R"("just text")"), "just text");
  EXPECT_EQ(ErrorText("plain\n  words\x1b[31m"), "plain words [31m");
}

TEST(ErrorText, IsEmptyWhereThereAreNoWords) {
  for (const char* body : {"", "  \n", "<html><body>Bad gateway</body></html>", "{}", "[]", "7", "null",
                           R"({"other":"x"})", R"([[[[[["deep"]]]]]])"}) {
    EXPECT_EQ(ErrorText(body), "") << body;
  }
  EXPECT_EQ(ErrorText(std::string_view("a\0b", 3)), "");
}

TEST(ErrorText, IsCutBetweenCharacters) {
  std::string euros;
  for (int i = 0; i < 500; ++i) {
    euros += "\xE2\x82\xAC";
  }
  const std::string text = ErrorText(euros);
  EXPECT_LE(text.size(), 310U);
  EXPECT_EQ((text.size() - 3) % 3, 0U);
  EXPECT_TRUE(text.ends_with("\xAC..."));
}

TEST(StatusErrors, AreToldApart) {
  struct Row {
    Call call;
    int status;
    const char* body;
    Code code;
    const char* tag;
  };
  for (const Row& row : {
           Row{Call::kSearch, 401, R"({"error":"x"})", Code::kRefused, "access.key-refused"},
           Row{Call::kSign, 403, "", Code::kRefused, "access.key-refused"},
           Row{Call::kSearch, 400, R"(["Invalid job id: must be a valid hash id"])", Code::kConfig,
               "access.bad-job-id"},
           Row{Call::kSign, 400, R"({"error":"Training job must be in RUNNING state to sign"})", Code::kNotRunning,
               "access.not-running"},
           Row{Call::kSign, 400, R"({"detail":"Unknown replica 7"})", Code::kRefused, "access.node-refused"},
           Row{Call::kSign, 404, "", Code::kRefused, "access.node-refused"},
           Row{Call::kSearch, 404, "<html>", Code::kRefused, "access.not-found"},
           Row{Call::kSign, 422, R"({"message":"public_key is bad"})", Code::kRefused, "access.api-refused"},
           Row{Call::kSearch, 302, "", Code::kUnavailable, "access.redirect"},
           Row{Call::kSearch, 429, "", Code::kUnavailable, "access.api-unavailable"},
           Row{Call::kSign, 500, "garbage", Code::kUnavailable, "access.api-unavailable"},
           Row{Call::kSign, 503, "<html>", Code::kUnavailable, "access.api-unavailable"},
       }) {
    const Error error = StatusError(row.call, JobTarget(7), row.status, row.body, "BASETEN_API_KEY");
    EXPECT_EQ(error.code, row.code) << row.status << row.body;
    EXPECT_EQ(error.tag, row.tag) << row.status << row.body;
    EXPECT_NE(error.text.find("HTTP " + std::to_string(row.status)), std::string::npos) << error.text;
  }
  const Error node = StatusError(Call::kSign, JobTarget(7), 404, R"({"error":"nothing here"})", "k");
  EXPECT_NE(node.text.find("node 7 of job abc1234"), std::string::npos) << node.text;
  EXPECT_NE(node.text.find("nothing here"), std::string::npos) << node.text;
}

TEST(IsoTime, IsReadWithFractionsAndOffsets) {
  const auto base = ParseIsoTime("2026-01-31T10:00:00Z");
  ASSERT_TRUE(base.has_value());
  EXPECT_EQ(std::chrono::system_clock::to_time_t(*base), 1769853600);
  for (const char* same : {"2026-01-31T10:00:00", "2026-01-31 10:00:00Z", "2026-01-31T10:00:00.123456Z",
                           "2026-01-31T12:00:00+02:00", "2026-01-31T05:30:00.5-04:30"}) {
    EXPECT_EQ(ParseIsoTime(same), base) << same;
  }
  for (const char* bad : {"", "tomorrow", "2026-02-30T10:00:00Z", "2026-01-31", "2026-01-31T10:00:00 CET",
                          "2026-01-31T25:00:00Z", "2026-01-31T10:61:00Z", "1769853600"}) {
    EXPECT_EQ(ParseIsoTime(bad), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace bt::access
