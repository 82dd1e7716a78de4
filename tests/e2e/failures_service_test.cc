// Ways to fail on the way to the container. Each has its own words, and nothing is mounted.
#include <unistd.h>

#include <csignal>

#include "tests/e2e/mounted_workspace.h"
#include "tests/e2e/tree.h"

namespace bt::e2e {
namespace {

using namespace std::chrono_literals;
using standin::ApiFaultKind;
using standin::TlsCertificate;

class ServiceFailures : public ServiceTest {
 protected:
  void ExpectNoMount(const std::vector<std::string>& telling, const std::string& target = "demo123") {
    ExpectRefusal({target, mount().string()}, telling);
  }
};

TEST_F(ServiceFailures, AKeyThatTheApiRefuses) {
  environment_["BASETEN_API_KEY"] = "not-the-key";
  ExpectNoMount({"refused the key of BASETEN_API_KEY", "401", "Invalid API key"});
  EXPECT_EQ(service().counters().api_calls["search"], 1U) << "it is not worth a retry";
}

TEST_F(ServiceFailures, AJobIdThatTheServiceRefuses) {
  ExpectNoMount({"\"a-bad-id\" is not the id of a training job", "truss train view"}, "a-bad-id");
}

TEST_F(ServiceFailures, AJobThatIsNotThere) {
  ExpectNoMount({"no training job zzzz999", "truss train view"}, "zzzz999");
}

TEST_F(ServiceFailures, AJobThatIsNotRunning) {
  service().SetJobState("demo123", "TRAINING_JOB_DEPLOYING");
  ExpectNoMount({"Job demo123 is DEPLOYING", "Wait until it runs"});
  service().SetJobState("demo123", "TRAINING_JOB_COMPLETED");
  ExpectNoMount({"Job demo123 is COMPLETED", "its container is gone"});
}

TEST_F(ServiceFailures, ANodeThatTheJobDoesNotHave) {
  ExpectNoMount({"node 7 of job demo123", "does the job have that many"}, "demo123/7");
}

TEST_F(ServiceFailures, AModelThatIsNotThere) {
  ExpectNoMount({"deployment nosuch of model model123", "Model deployment not found"},
                "model-model123-nosuch.ssh.baseten.co");
}

TEST_F(ServiceFailures, AnApiThatCannotBeReached) {
  ASSERT_TRUE(service().SetApiDown(true).ok());
  ExpectNoMount({"cannot be reached", "Is this machine online", "tried"});
}

TEST_F(ServiceFailures, AnApiNameThatDoesNotResolve) {
  environment_["BASETEN_BASE_URL"] = "https://no-such-host.invalid";
  ExpectNoMount({"no-such-host.invalid cannot be resolved"});
}

TEST_F(ServiceFailures, AnApiThatAnswersServerErrors) {
  service().SetApiFault({.kind = ApiFaultKind::kStatus, .status = 503});
  ExpectNoMount({"cannot answer now", "503", "tried"});
  EXPECT_GT(service().counters().api_calls["search"], 1U);
}

TEST_F(ServiceFailures, AnApiThatAnswersWithAPageForABrowser) {
  service().SetApiFault({.kind = ApiFaultKind::kHtml, .status = 200});
  ExpectNoMount({"JSON"});
}

TEST_F(ServiceFailures, AnApiThatAnswersNonsense) {
  service().SetApiFault({.kind = ApiFaultKind::kGarbage, .endpoint = "sign", .status = 200});
  ExpectNoMount({"JSON"});
}

TEST_F(ServiceFailures, AnApiThatFailsOnceIsAskedAgain) {
  service().SetApiFault({.kind = ApiFaultKind::kStatus, .calls = 1, .status = 502});
  Mount();
  EXPECT_EQ(service().counters().api_calls["search"], 2U);
}

TEST_F(ServiceFailures, AnApiWithAnotherName) {
  service().SetApiCertificate(TlsCertificate::kWrongName);
  ExpectNoMount({"TLS certificate of localhost", "another name"});
}

TEST_F(ServiceFailures, AnApiOfAnAuthorityThatNobodyTrusts) {
  service().SetApiCertificate(TlsCertificate::kOtherCa);
  ExpectNoMount({"TLS certificate of localhost", "not signed by an authority"});
}

TEST_F(ServiceFailures, AnApiWhoseCertificateIsOver) {
  service().SetApiCertificate(TlsCertificate::kExpired);
  ExpectNoMount({"TLS certificate of localhost", "not valid today"});
}

TEST_F(ServiceFailures, AProxyWithAnotherName) {
  service().SetProxyCertificate(TlsCertificate::kWrongName);
  ExpectNoMount({"TLS certificate of localhost", "another name"});
  EXPECT_EQ(service().counters().proxy_accepted, 0U) << "the token was shown to somebody else";
}

TEST_F(ServiceFailures, AProxyOfAnAuthorityThatNobodyTrusts) {
  service().SetProxyCertificate(TlsCertificate::kOtherCa);
  ExpectNoMount({"TLS certificate of localhost", "not signed by an authority"});
  EXPECT_EQ(service().counters().proxy_accepted, 0U) << "the token was shown to somebody else";
}

TEST_F(ServiceFailures, AProxyThatCannotBeReached) {
  ASSERT_TRUE(service().link().RefuseConnections(true).ok());
  ExpectNoMount({"proxy", "cannot be reached", "firewall"});
}

TEST_F(ServiceFailures, AProxyThatRefusesWithItsStatus) {
  service().SetProxyRefusal(standin::RefuseMode::kStatusByte);
  ExpectNoMount({"The proxy localhost:", "refused the connection", "status 1"});
}

TEST_F(ServiceFailures, AProxyThatRefusesByHangingUp) {
  service().SetProxyRefusal(standin::RefuseMode::kClose);
  ExpectNoMount({"The proxy localhost:", "refused the connection"});
}

TEST_F(ServiceFailures, AServerThatIsGoneBehindTheProxy) {
  service().node(0).Stop();
  ExpectNoMount({"SSH"});
}

TEST_F(ServiceFailures, ACertificateThatTheServerRefuses) {
  service().SetLifetimes({.certificate = -60s});
  ExpectNoMount({"refused the certificate for user \"baseten\""});
}

TEST_F(ServiceFailures, AServerWithoutSftp) {
  ASSERT_TRUE(service().node(0).Restart(standin::HostKey::kSame, {.sftp = standin::SftpMode::kNone}).ok());
  ExpectNoMount({"no SFTP subsystem", "openssh-sftp-server"});
}

TEST_F(ServiceFailures, ADirectoryThatIsNotThereOrNone) {
  ExpectNoMount({"no /no/such/place in the container"}, "demo123:/no/such/place");
  WriteFile(server() / "file", "");
  ExpectNoMount({(server() / "file").string(), "is not a directory"}, "demo123:file");
}

TEST_F(ServiceFailures, ADirectoryThatCannotBeListed) {
  ASSERT_TRUE(service().node(0).ArmFault({.action = tap::Action::kFail, .request = "opendir", .times = 0}).ok());
  ExpectNoMount({"bt-mount: "});
}

// Ctrl-C while it waits for something that does not answer: it goes at once, and leaves nothing.
class Impatience : public ServiceTest {
 protected:
  void ExpectToGoOnCtrlC(const std::function<bool()>& is_waiting) {
    const auto program = StartBtMount({"demo123", mount().string()});
    const auto deadline = std::chrono::steady_clock::now() + mount_timeout_;
    while (!is_waiting() && std::chrono::steady_clock::now() < deadline) {
      ::usleep(10'000);
    }
    ASSERT_TRUE(is_waiting());
    program->Signal(SIGINT);
    const Finished ended = program->Wait(20s);  // connecting as such may take 60
    EXPECT_GT(ended.exit_code, 0) << ended.all();
    EXPECT_FALSE(IsMounted(mount()));
    if (const pid_t left = Daemon(); left > 0) {
      EXPECT_GE(WaitForChild(left, 20s), 0) << "it goes on in the background";
    }
  }
};

TEST_F(Impatience, WithAnApiThatDoesNotAnswer) {
  service().SetApiFault({.kind = ApiFaultKind::kHang});
  ExpectToGoOnCtrlC([&] { return service().counters().api_calls["search"] > 0; });
}

TEST_F(Impatience, WithAnApiThatIsToBeAskedAgainMuchLater) {
  service().SetApiFault({.kind = ApiFaultKind::kStatus, .status = 429, .retry_after = 30});
  ExpectToGoOnCtrlC([&] { return service().counters().api_calls["search"] > 0; });
}

TEST_F(Impatience, WithAProxyThatDoesNotAnswer) {
  service().link().Stall();
  ExpectToGoOnCtrlC([&] { return service().counters().link.connections > 0; });
}

}  // namespace
}  // namespace bt::e2e
