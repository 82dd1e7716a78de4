// Faults of the SFTP session, seen by a real sftp client.
#include <filesystem>

#include "tests/unit/standin/test_tools.h"

namespace bt::standin {
namespace {

using namespace std::chrono_literals;

class SftpFaultTest : public StandinTest {
 protected:
  void SetUp() override {
    StandinTest::SetUp();
    Login();
  }
  bool Exists(const std::string& name) const {
    return std::filesystem::exists(standin_->node(0).directory() + "/" + name);
  }
  void Arm(const SftpFault& fault) { ASSERT_TRUE(standin_->node(0).ArmFault(fault).ok()); }
};

TEST_F(SftpFaultTest, ALostRequestIsNeverDone) {
  Arm({.action = tap::Action::kLoseRequest, .request = "mkdir", .skip = 1});
  EXPECT_NE(Sftp("mkdir one\nmkdir two\nmkdir three\n").exit_code, 0);
  EXPECT_TRUE(Exists("one"));
  EXPECT_FALSE(Exists("two"));
  EXPECT_FALSE(Exists("three"));
  EXPECT_EQ(standin_->counters().sftp.faults_fired, 1U);
  EXPECT_EQ(Sftp("mkdir two\n").exit_code, 0);  // disarmed
}

TEST_F(SftpFaultTest, ALostReplyIsAnOperationThatWasDone) {
  Arm({.action = tap::Action::kLoseReply, .request = "mkdir"});
  EXPECT_NE(Sftp("mkdir one\n").exit_code, 0);
  EXPECT_TRUE(Exists("one"));
}

TEST_F(SftpFaultTest, AFailureIsAnsweredWithoutTheServer) {
  Arm({.action = tap::Action::kFail, .request = "posix-rename"});
  const Ran ran = Sftp("mkdir one\n-rename one two\nrename one three\n");
  EXPECT_EQ(ran.exit_code, 0) << ran.output;
  EXPECT_FALSE(Exists("two"));
  EXPECT_TRUE(Exists("three"));
}

TEST_F(SftpFaultTest, ADelayedRequestIsLate) {
  Arm({.action = tap::Action::kDelay, .request = "mkdir", .times = 0, .delay = 60ms});
  const TimePoint start = Clock::now();
  EXPECT_EQ(Sftp("mkdir one\nmkdir two\n").exit_code, 0);
  EXPECT_GE(Clock::now() - start, 120ms);
  standin_->node(0).ClearFaults();
}

TEST_F(SftpFaultTest, UnknownRequestsCannotBeArmed) {
  EXPECT_FALSE(standin_->node(0).ArmFault({.request = "nonsense"}).ok());
}

TEST_F(SftpFaultTest, AnImageWithoutSftpServerRefusesTheSubsystem) {
  ASSERT_TRUE(standin_->node(0).Restart(HostKey::kSame, {.sftp = SftpMode::kNone}).ok());
  EXPECT_NE(Sftp("pwd\n").exit_code, 0);
  EXPECT_EQ(Ssh("echo reachable").output, "reachable\n");
  ASSERT_TRUE(standin_->node(0).Restart(HostKey::kSame, {.sftp = SftpMode::kPlain}).ok());
  EXPECT_EQ(Sftp("pwd\n").exit_code, 0);
}

}  // namespace
}  // namespace bt::standin
