// Ways to fail on this machine: credentials, targets, the device, the mount point. Each has its own words, and nothing
// is mounted.
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include <fmt/format.h>

#include "tests/e2e/mounted_workspace.h"
#include "tests/e2e/tree.h"

namespace bt::e2e {
namespace {

namespace fs = std::filesystem;

class LocalFailures : public ServiceTest {
 protected:
  Words MountWords(const std::string& target = "demo123") const { return {target, mount().string()}; }

  void WriteTrussrc(const std::string& text) const {
    WriteFile(home() / ".trussrc", text);
    ::chmod((home() / ".trussrc").c_str(), 0600);
  }
};

TEST_F(LocalFailures, WithoutAnyCredentialsTheWaysToGiveThemAreNamed) {
  environment_.erase("BASETEN_API_KEY");
  ExpectRefusal(MountWords(), {"no API key", "BASETEN_API_KEY", ".trussrc does not exist"});
}

TEST_F(LocalFailures, ATrussrcThatIsNotThereIsNamed) {
  environment_.erase("BASETEN_API_KEY");
  environment_["USER_TRUSSRC_PATH"] = (local() / "elsewhere").string();
  ExpectRefusal(MountWords(), {(local() / "elsewhere").string() + " does not exist"});
  Words words = MountWords();
  words.insert(words.end(), {"--remote", "work"});
  ExpectRefusal(words, {"no remote \"work\"", (local() / "elsewhere").string() + " does not exist"});
}

TEST_F(LocalFailures, AnUnknownRemoteIsRefusedWithThoseThatThereAre) {
  environment_.erase("BASETEN_API_KEY");
  WriteTrussrc(
      "[home]\nremote_provider = baseten\napi_key = k1\nremote_url = https://app.baseten.co\n"
      "[office]\nremote_provider = baseten\napi_key = k2\nremote_url = https://app.baseten.co\n");
  Words words = MountWords();
  words.insert(words.end(), {"--remote", "work"});
  ExpectRefusal(words, {"no remote \"work\"", "home", "office"});
  ExpectRefusal(MountWords(), {"several remotes", "home", "office", "--remote"});
}

TEST_F(LocalFailures, ARemoteThatSignsInWithOauthNamesTheTwoWaysOut) {
  environment_.erase("BASETEN_API_KEY");
  WriteTrussrc("[baseten]\nremote_provider = baseten\nauth_type = oauth\nremote_url = https://app.baseten.co\n");
  ExpectRefusal(MountWords(), {"OAuth", "BASETEN_API_KEY", "BASETEN_TRUSS_AUTH_KEYRING_DISABLED=1 uvx truss login"});
}

TEST_F(LocalFailures, ABrokenTrussrcIsNamedWithItsLineAndNotItsContent) {
  environment_.erase("BASETEN_API_KEY");
  WriteTrussrc("[baseten]\nremote_provider = baseten\napi_key = topsecretkey\nno equals sign\n");
  ExpectRefusal(MountWords(), {".trussrc", "line 4"});
  EXPECT_EQ(BtMount(MountWords()).all().find("topsecretkey"), std::string::npos);
}

TEST_F(LocalFailures, IdsThatCannotBeAreRefusedBeforeTheyAreSent) {
  ExpectRefusal(MountWords("Demo_123"), {"\"Demo_123\"", "lower-case letters"});
  ExpectRefusal(MountWords("demo123/first"), {"\"first\"", "nodes are numbers"});
  ExpectRefusal(MountWords("training-job-demo123.ssh.baseten.co"), {"names no node"});
  ExpectRefusal(MountWords("demo123.example.com"), {"neither a job id nor a host name"});
  ExpectRefusal({"demo123/1", mount().string(), "--node", "0"}, {"The name says node 1, --node says 0"});
  EXPECT_TRUE(service().counters().api_calls.empty());
}

TEST_F(LocalFailures, WordsThatAreNotUnderstoodAreNamed) {
  ExpectRefusal({"demo123", mount().string(), "-o", "ro,colour=red"}, {"colour=red", "--help"});
  ExpectRefusal({"demo123", mount().string(), "--frobnicate"}, {"--frobnicate", "--help"});
  ExpectRefusal({}, {"target", "--help"});
}

TEST_F(LocalFailures, WhatCannotBePrintedIsNotDone) {
  for (const char* words : {"--help", "cache list", "cache list --json", "status --json"}) {
    const Finished lost = Shell(fmt::format("{} {} > /dev/full", BT_MOUNT_PROGRAM, words));
    EXPECT_EQ(lost.exit_code, 1) << words;
    EXPECT_NE(lost.err.find("standard output"), std::string::npos) << words << ": " << lost.all();
  }
}

TEST_F(LocalFailures, WithoutTheDeviceTheWaysToHaveItAreNamed) {
  // A mount namespace of its own, with another /dev in it.
  const Finished refused =
      Shell(fmt::format("unshare -m --propagation private bash -c 'mount -t tmpfs none /dev && {} demo123 {}'",
                        BT_MOUNT_PROGRAM, mount().string()));
  EXPECT_EQ(refused.exit_code, 1) << refused.all();
  EXPECT_NE(refused.err.find("/dev/fuse is missing"), std::string::npos) << refused.all();
  EXPECT_NE(refused.err.find("modprobe fuse"), std::string::npos) << refused.all();
  EXPECT_TRUE(service().counters().api_calls.empty());
}

TEST_F(LocalFailures, AMountPointThatIsBusyNamesWhatIsThere) {
  Mount();
  const Finished refused = BtMount(MountWords());
  EXPECT_EQ(refused.exit_code, 1);
  for (const char* word : {"is busy", "demo123-0:", "bt-mount unmount"}) {
    EXPECT_NE(refused.err.find(word), std::string::npos) << refused.all();
  }
  WriteFile(mount() / "f", "the first one lives");
  EXPECT_EQ(ReadFile(server() / "f"), "the first one lives");
}

TEST_F(LocalFailures, AMountPointThatIsNotEmptyIsRefusedUnlessAskedFor) {
  WriteFile(mount() / "mine", "text");
  ExpectRefusal(MountWords(), {"is not empty", "-o nonempty"});
  Mount({"-o", "nonempty"});
  EXPECT_FALSE(fs::exists(mount() / "mine"));
  Unmount(mount());
  EXPECT_EQ(ReadFile(mount() / "mine"), "text");
}

TEST_F(LocalFailures, AMountPointThatIsMissingOrNoDirectoryIsNamed) {
  ExpectRefusal({"demo123", (local() / "missing").string()}, {(local() / "missing").string(), "does not exist"});
  WriteFile(local() / "file", "");
  ExpectRefusal({"demo123", (local() / "file").string()}, {(local() / "file").string(), "is not a directory"});
  EXPECT_TRUE(service().counters().api_calls.empty());
}

TEST_F(LocalFailures, WhatADeadProcessLeftBehindIsCleanedUp) {
  Mount();
  const pid_t daemon = Daemon();
  ASSERT_EQ(::kill(daemon, SIGKILL), 0);
  EXPECT_EQ(WaitForChild(daemon, mount_timeout_), 128 + SIGKILL);
  EXPECT_TRUE(IsMounted(mount()));
  Mount();
  WriteFile(mount() / "f", "alive");
  EXPECT_EQ(ReadFile(server() / "f"), "alive");
}

TEST_F(LocalFailures, AKeyOfTheUserThatCannotBeUsedIsNamed) {
  fs::create_directories(home() / ".ssh/baseten");
  WriteFile(home() / ".ssh/baseten/id_ed25519", "this is no key\n");
  ExpectRefusal(MountWords(), {"id_ed25519", "truss ssh setup"});
}

}  // namespace
}  // namespace bt::e2e
