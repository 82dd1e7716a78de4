// The way through the proxy, with real ssh and sftp clients.
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/unit/standin/test_tools.h"

namespace bt::standin {
namespace {

using namespace std::chrono_literals;
using ProxyTest = StandinTest;

std::string Frame(const std::string& token) {
  std::string frame;
  for (int shift = 24; shift >= 0; shift -= 8) {
    frame += static_cast<char>((token.size() >> static_cast<unsigned>(shift)) & 0xffU);
  }
  return frame + token;
}

// The status byte that the proxy answers to a token; -1 when there is none.
int StatusByte(const std::string& address, const std::string& token) {
  auto stream = TlsStream::Connect("localhost", address.substr(address.rfind(':') + 1));
  char status = 0;
  if (!stream.ok() || !stream->WriteAll(Frame(token)) || stream->Read({&status, 1}) != 1) {
    return -1;
  }
  return status;
}

SignAnswer Access() {
  auto access = RequestAccess({.job = "demo123", .node = "0"},
                              "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f test");
  EXPECT_TRUE(access.ok());
  return access.ok() ? *access : SignAnswer{};
}

TEST_F(ProxyTest, RealSshRunsACommandOnTheRightNode) {
  Launch({.nodes = 2});
  Login();
  const Ran ran = Ssh("'pwd; echo $BT_GROUP_SIZE'", 1);
  EXPECT_EQ(ran.exit_code, 0);
  EXPECT_EQ(ran.output, standin_->node(1).directory() + "\n2\n");
  EXPECT_EQ(standin_->counters().proxy_accepted, 1U);
}

TEST_F(ProxyTest, RealSftpMovesFilesBothWays) {
  Login();
  std::string bytes(3'000'000, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<char>((i * 2654435761U) >> 11U);
  }
  std::ofstream(File("local")) << bytes;
  const Ran ran = Sftp("pwd\nput " + File("local") + " there\nget there " + File("back") + "\n");
  ASSERT_EQ(ran.exit_code, 0) << ran.output;
  EXPECT_NE(ran.output.find(standin_->node(0).directory()), std::string::npos) << ran.output;
  for (const std::string& file : {standin_->node(0).directory() + "/there", File("back")}) {
    std::ifstream stream(file);
    EXPECT_TRUE(std::string(std::istreambuf_iterator<char>(stream), {}) == bytes) << file;
  }
  const Counters counters = standin_->counters();
  EXPECT_EQ(counters.sftp.bytes_written, bytes.size());
  EXPECT_EQ(counters.sftp.bytes_read, bytes.size());
  EXPECT_EQ(counters.sftp.sessions, 1U);
  EXPECT_GT(counters.sftp.turns, 3U);
  EXPECT_GT(counters.link.bytes_up, bytes.size());
}

TEST_F(ProxyTest, AnExpiredCertificateIsRefusedBySshd) {
  Launch({.lifetimes = {.certificate = -60s}});
  Login();
  const Ran ran = Ssh("true");
  EXPECT_EQ(ran.exit_code, 255);
  EXPECT_NE(ran.output.find("Permission denied"), std::string::npos) << ran.output;
}

TEST_F(ProxyTest, ATokenIsGoodAgainUnlessSingleUse) {
  const SignAnswer access = Access();
  EXPECT_EQ(StatusByte(access.proxy_address, access.token), 0);
  EXPECT_EQ(StatusByte(access.proxy_address, access.token), 0);
  standin_->SetLifetimes({.token_single_use = true});
  EXPECT_EQ(StatusByte(access.proxy_address, access.token), 1);
  const SignAnswer fresh = Access();
  EXPECT_EQ(StatusByte(fresh.proxy_address, fresh.token), 0);
  EXPECT_EQ(StatusByte(fresh.proxy_address, fresh.token), 1);
}

TEST_F(ProxyTest, BadTokensGetAStatusByte) {
  const std::string address = standin_->proxy_address();
  EXPECT_EQ(StatusByte(address, "nonsense"), 1);
  EXPECT_EQ(StatusByte(address, std::string(100'000, 'x')), 1);
  standin_->SetLifetimes({.token = -1s});
  EXPECT_EQ(StatusByte(address, Access().token), 1);
  EXPECT_EQ(standin_->counters().proxy_refused, 3U);
}

TEST_F(ProxyTest, RefusesAsTold) {
  const SignAnswer access = Access();
  standin_->SetProxyRefusal(RefuseMode::kStatusByte);
  EXPECT_EQ(StatusByte(access.proxy_address, access.token), 1);
  standin_->SetProxyRefusal(RefuseMode::kClose);
  EXPECT_EQ(StatusByte(access.proxy_address, access.token), -1);
  standin_->SetProxyRefusal(RefuseMode::kNone);
  EXPECT_EQ(StatusByte(access.proxy_address, access.token), 0);
  standin_->node(0).Stop();
  EXPECT_EQ(StatusByte(access.proxy_address, access.token), 1);
}

TEST_F(ProxyTest, ShowsABadCertificateWhenTold) {
  const std::string address = standin_->proxy_address();
  for (const TlsCertificate kind : {TlsCertificate::kWrongName, TlsCertificate::kOtherCa}) {
    standin_->SetProxyCertificate(kind);
    EXPECT_FALSE(TlsStream::Connect("localhost", address.substr(address.rfind(':') + 1)).ok());
  }
}

TEST_F(ProxyTest, TheHandshakePaysForItsRoundTrips) {
  const SignAnswer access = Access();
  standin_->SetRtt(40ms);
  const TimePoint start = Clock::now();
  EXPECT_EQ(StatusByte(access.proxy_address, access.token), 0);
  EXPECT_GE(Clock::now() - start, 3 * 40ms);  // TCP, TLS 1.3, token and status
}

TEST_F(ProxyTest, ANewHostKeyAfterARestartIsAnotherContainer) {
  Login();
  const std::string before = standin_->node(0).host_key();
  ASSERT_TRUE(standin_->node(0).Restart(HostKey::kSame).ok());
  EXPECT_EQ(standin_->node(0).host_key(), before);
  ASSERT_TRUE(standin_->node(0).Restart(HostKey::kNew).ok());
  EXPECT_NE(standin_->node(0).host_key(), before);
  EXPECT_EQ(Ssh("echo back").output, "back\n");
}

TEST_F(ProxyTest, PlainPortsReachTheNodeOverTheSameLink) {
  ASSERT_TRUE(standin_->WriteLogin(File("key")).ok());
  const Ran ran =
      RunShell("ssh -F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -i " +
               File("key") + " -p " + std::to_string(standin_->plain_port(0)) + " baseten@127.0.0.1 echo plain");
  EXPECT_EQ(ran.output, "plain\n");
  EXPECT_EQ(standin_->counters().link.connections, 1U);
}

TEST_F(ProxyTest, NothingIsLeftRunningWhenItEnds) {
  Login();
  std::jthread session([command_line = SshCommandLine("'echo $$ > pid; exec sleep 1000'")] { RunShell(command_line); });
  const std::string file = standin_->node(0).directory() + "/pid";
  pid_t command = 0;
  while (!(std::ifstream(file) >> command)) {
    std::this_thread::yield();
  }
  const pid_t server = standin_->node(0).pid();
  const std::string directory = standin_->directory();
  standin_.reset();
  session.join();
  EXPECT_NE(::kill(server, 0), 0);
  // An orphan that nobody has reaped yet is gone as well.
  std::string line;
  std::getline(std::ifstream("/proc/" + std::to_string(command) + "/cmdline"), line);
  EXPECT_EQ(line, "");
  EXPECT_FALSE(std::filesystem::exists(directory));
}

}  // namespace
}  // namespace bt::standin
