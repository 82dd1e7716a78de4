#include "transport/access/host_name.h"

#include <gtest/gtest.h>

namespace bt::access {
namespace {

Target Parsed(std::string_view text, const TargetOverrides& overrides = {}) {
  Result<Target> target = ParseTarget(text, overrides);
  EXPECT_TRUE(target.ok()) << text << ": " << (target.ok() ? "" : target.error().text);
  return target.ok() ? std::move(target).value() : Target();
}

Target Job(std::string job, unsigned node, std::string path = "") {
  Target target;
  target.job = std::move(job);
  target.node = node;
  target.path = std::move(path);
  return target;
}

TEST(HostName, TakesShortForms) {
  EXPECT_EQ(Parsed("abc1234"), Job("abc1234", 0));
  EXPECT_EQ(Parsed("abc1234/1"), Job("abc1234", 1));
  EXPECT_EQ(Parsed("abc1234:/mnt/ckpts"), Job("abc1234", 0, "/mnt/ckpts"));
  EXPECT_EQ(Parsed("abc1234/12:relative/dir"), Job("abc1234", 12, "relative/dir"));
  EXPECT_EQ(Parsed("abc1234:"), Job("abc1234", 0));
  EXPECT_EQ(Parsed("abc1234:a:b"), Job("abc1234", 0, "a:b"));
}

TEST(HostName, SplitsAJobFromItsNodeAtTheLastDash) {
  EXPECT_EQ(Parsed("training-job-abc1234-0.ssh.baseten.co"), Job("abc1234", 0));
  EXPECT_EQ(Parsed("training-job-a-b-c-7.ssh.baseten.co:/x"), Job("a-b-c", 7, "/x"));
  EXPECT_EQ(Parsed("training-job-abc1234-3"), Job("abc1234", 3));
}

TEST(HostName, TakesRemoteAndApiPrefix) {
  const Target one = Parsed("training-job-abc1234-0.my_Remote.ssh.baseten.co");
  EXPECT_EQ(one.remote, "my_Remote");
  EXPECT_EQ(one.api_prefix, std::nullopt);
  const Target two = Parsed("training-job-abc1234-0.baseten.mc-dev.ssh.baseten.co:p");
  EXPECT_EQ(two.remote, "baseten");
  EXPECT_EQ(two.api_prefix, "mc-dev");
  EXPECT_EQ(two.path, "p");
}

TEST(HostName, SplitsAModelOnTheFirstTwoDashes) {
  const Target one = Parsed("model-abcd-q1w2.ssh.baseten.co:/app");
  EXPECT_EQ(one.kind, Target::Kind::kModel);
  EXPECT_EQ(one.model, "abcd");
  EXPECT_EQ(one.deployment, "q1w2");
  EXPECT_EQ(one.replica, "");
  EXPECT_EQ(one.path, "/app");
  const Target two = Parsed("model-abcd-q1w2-pod-7-x.baseten.ssh.baseten.co");
  EXPECT_EQ(two.replica, "pod-7-x");
  EXPECT_EQ(two.remote, "baseten");
}

TEST(HostName, KnowsUserLabelAndWords) {
  const Target job = Parsed("abc1234/1");
  EXPECT_STREQ(job.ssh_user(), "baseten");
  EXPECT_EQ(job.host_name(), "training-job-abc1234-1.ssh.baseten.co");
  EXPECT_EQ(job.display_name(), "node 1 of job abc1234");
  for (const char* name : {"model-abcd-q1w2-r-1.baseten.mc-dev.ssh.baseten.co", "training-job-a-0.r.ssh.baseten.co"}) {
    EXPECT_EQ(Parsed(name).host_name(), name);
  }
  EXPECT_STREQ(Parsed("model-abcd-q1w2").ssh_user(), "app");
}

TEST(HostName, AppliesOverrides) {
  EXPECT_EQ(Parsed("abc1234", {"2", std::nullopt}).node, 2U);
  EXPECT_EQ(Parsed("abc1234/2", {"2", std::nullopt}).node, 2U);
  EXPECT_EQ(Parsed("abc1234", {std::nullopt, "staging"}).remote, "staging");
  EXPECT_EQ(Parsed("training-job-a-0.r.ssh.baseten.co", {std::nullopt, "r"}).remote, "r");
}

TEST(HostName, RefusesOverridesThatContradictTheName) {
  EXPECT_NE(ParseTarget("abc1234/1", {"2", std::nullopt}).error().text.find("name says node 1"), std::string::npos);
  EXPECT_FALSE(ParseTarget("training-job-a-0.ssh.baseten.co", {"1", std::nullopt}).ok());
  EXPECT_FALSE(ParseTarget("training-job-a-0.r.ssh.baseten.co", {std::nullopt, "s"}).ok());
  EXPECT_FALSE(ParseTarget("model-a-b", {"1", std::nullopt}).ok());
  EXPECT_FALSE(ParseTarget("abc1234", {"x", std::nullopt}).ok());
  EXPECT_FALSE(ParseTarget("abc1234", {std::nullopt, ""}).ok());
}

TEST(HostName, RefusesEverythingElseAndShowsTheForms) {
  for (const char* bad :
       {"",
        ":",
        "/",
        "/1",
        ":/mnt",
        "ABC1234",
        "abc/",
        "abc/x",
        "abc/-1",
        "abc/+1",
        "abc/1/2",
        "abc/1 ",
        "abc 1",
        "abc/99999999999999999999",
        "a.b",
        "host.example.com:/x",
        "training-job-.ssh.baseten.co",
        "training-job-abc.ssh.baseten.co",
        "training-job-abc-.ssh.baseten.co",
        "training-job--0.ssh.baseten.co",
        "training-job-abc-x.ssh.baseten.co",
        "training-job-abc-0..ssh.baseten.co",
        "training-job-abc-0.r..ssh.baseten.co",
        "training-job-abc-0.r.a..b.ssh.baseten.co",
        "training-job-abc-0.r.a/b.ssh.baseten.co",
        "training-job-../../x-0.ssh.baseten.co",
        "training-job-a\\b-0.ssh.baseten.co",
        "model-.ssh.baseten.co",
        "model-abc.ssh.baseten.co",
        "model--x.ssh.baseten.co",
        "model-a-.ssh.baseten.co",
        "model-a-b-.ssh.baseten.co",
        ".ssh.baseten.co",
        "other-a-0.ssh.baseten.co",
        "../etc",
        "abc%2f",
        "abc\n",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}) {
    const Result<Target> target = ParseTarget(bad);
    ASSERT_FALSE(target.ok()) << bad;
    EXPECT_EQ(target.error().code, Code::kConfig) << bad;
    EXPECT_NE(target.error().text.find("abc1234/1"), std::string::npos) << bad;
  }
}

TEST(HostName, NeverPrintsControlCharactersBack) {
  const Result<Target> target = ParseTarget("abc\x1b[31m\r");
  ASSERT_FALSE(target.ok());
  EXPECT_EQ(target.error().text.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace bt::access
