// Who mounts what: credentials, keys, targets, and the ways to call bt-mount.
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "tests/e2e/mounted_workspace.h"
#include "tests/e2e/tree.h"

namespace bt::e2e {
namespace {

namespace fs = std::filesystem;

class Access : public ServiceTest {
 protected:
  // Each workspace says whose it is.
  void SetUp() override {
    StartService({.nodes = 2});
    ASSERT_FALSE(HasFatalFailure());
    for (int node = 0; node < 2; ++node) {
      WriteFile(server(node) / "who", fmt::format("node {}", node));
      fs::create_directories(server(node) / "sub/dir");
      WriteFile(server(node) / "sub/dir/deep", fmt::format("deep in node {}", node));
    }
  }

  static std::string Trussrc(const std::string& remote, const std::string& key) {
    return fmt::format("[{}]\nremote_provider = baseten\napi_key = {}\nremote_url = https://app.baseten.co\n\n", remote,
                       key);
  }

  void MakeUserKey(const fs::path& directory) {
    fs::create_directories(directory);
    EXPECT_EQ(Run({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", (directory / "id_ed25519").string()}).exit_code,
              0);
  }

  // The keys that the server has let in, as its log names them.
  std::string AcceptedKeys() { return ReadFile(service().node(0).log_file()); }
  std::string FingerprintOf(const fs::path& key) {
    const std::string line = Run({"ssh-keygen", "-l", "-f", key.string()}).out;  // "256 SHA256:... comment (ED25519)"
    const std::size_t begin = line.find("SHA256:");
    return begin == std::string::npos ? "no fingerprint" : line.substr(begin, line.find(' ', begin) - begin);
  }
};

TEST_F(Access, TheTrussrcNamedByItsVariableIsUsedWithTheRemoteAskedFor) {
  const std::string key = environment_["BASETEN_API_KEY"];
  environment_.erase("BASETEN_API_KEY");
  WriteFile(local() / "rc", Trussrc("wrong", "not-the-key") + Trussrc("right", key));
  ::chmod((local() / "rc").c_str(), 0600);
  environment_["USER_TRUSSRC_PATH"] = (local() / "rc").string();
  ExpectRefusal({"demo123", mount().string(), "--remote", "wrong"}, {"remote \"wrong\"", "401"});
  Mount({"--remote", "right"});
  EXPECT_EQ(ReadFile(mount() / "who"), "node 0");
  Unmount(mount());
  Mount({}, "training-job-demo123-1.right.ssh.baseten.co");
  EXPECT_EQ(ReadFile(mount() / "who"), "node 1");
}

TEST_F(Access, TheOnlyRemoteNeedsNoName) {
  WriteFile(home() / ".trussrc", Trussrc("baseten", environment_["BASETEN_API_KEY"]));
  ::chmod((home() / ".trussrc").c_str(), 0600);
  environment_.erase("BASETEN_API_KEY");
  Mount();
  EXPECT_EQ(ReadFile(mount() / "who"), "node 0");
}

TEST_F(Access, ATrussrcThatOthersCanReadIsMentioned) {
  WriteFile(home() / ".trussrc", Trussrc("baseten", environment_["BASETEN_API_KEY"]));
  ::chmod((home() / ".trussrc").c_str(), 0644);
  environment_.erase("BASETEN_API_KEY");
  const Finished mounted = BtMount({"demo123", mount().string()});
  EXPECT_EQ(mounted.exit_code, 0) << mounted.all();
  EXPECT_NE(mounted.err.find("chmod 600"), std::string::npos) << mounted.all();
}

TEST_F(Access, TheVariableWinsOverTheFile) {
  WriteFile(home() / ".trussrc", Trussrc("baseten", "not-the-key"));
  ::chmod((home() / ".trussrc").c_str(), 0600);
  Mount();
}

TEST_F(Access, TheProfileOfTheOtherClientServesToo) {
  fs::create_directories(home() / ".config/baseten");
  const fs::path file = home() / ".config/baseten/auth.json";
  WriteFile(file, fmt::format(R"({{"version":1,"current":"p","profiles":{{"p":{{"remote_url":"https://app.baseten.co",)"
                              R"("auth_type":"api_key","api_key":"{}"}}}}}})",
                              environment_["BASETEN_API_KEY"]));
  ::chmod(file.c_str(), 0600);
  environment_.erase("BASETEN_API_KEY");
  Mount();
}

TEST_F(Access, TheUsersOwnKeyIsUsedAndItsDirectoryLeftAsItIs) {
  const fs::path keys = local() / "keys";
  MakeUserKey(keys);
  environment_["BASETEN_SSH_DIR"] = keys.string();
  const std::string before = Describe(keys);
  Mount();
  EXPECT_NE(AcceptedKeys().find(FingerprintOf(keys / "id_ed25519")), std::string::npos) << AcceptedKeys();
  EXPECT_EQ(Describe(keys), before);
}

TEST_F(Access, TheDefaultPlaceOfTheUsersKeyIsKnown) {
  MakeUserKey(home() / ".ssh/baseten");
  Mount();
  EXPECT_NE(AcceptedKeys().find(FingerprintOf(home() / ".ssh/baseten/id_ed25519")), std::string::npos);
}

TEST_F(Access, WithoutAKeyOneIsMadeInMemoryAndNothingIsWritten) {
  Mount();
  EXPECT_FALSE(fs::exists(home() / ".ssh"));
  EXPECT_EQ(ReadFile(mount() / "who"), "node 0");
}

TEST_F(Access, TargetsNameTheNodeInEveryWay) {
  struct Case {
    std::string target;
    Words more;
    std::string who;
  };
  const std::vector<Case> cases{{"demo123", {}, "node 0"},
                                {"demo123/1", {}, "node 1"},
                                {"demo123", {"--node", "1"}, "node 1"},
                                {"training-job-demo123-1.ssh.baseten.co", {}, "node 1"},
                                {"demo123", {"-o", "node=1"}, "node 1"}};
  for (const Case& one : cases) {
    Mount(one.more, one.target);
    EXPECT_EQ(ReadFile(mount() / "who"), one.who) << one.target;
    Unmount(mount());
  }
}

TEST_F(Access, TargetsNameTheDirectoryInEveryWay) {
  const std::vector<std::pair<std::string, int>> cases{
      {"demo123:sub/dir", 0},
      {"demo123/1:sub/dir", 1},
      {"demo123:" + (server() / "sub/dir").string(), 0},
      {"demo123:" + (server() / "sub/../sub/dir/").string(), 0},
      {"demo123/1:~/sub/dir", 1},
      {"training-job-demo123-1.ssh.baseten.co:sub/dir", 1},
  };
  for (const auto& [target, node] : cases) {
    Mount({}, target);
    EXPECT_EQ(ReadFile(mount() / "deep"), fmt::format("deep in node {}", node)) << target;
    EXPECT_FALSE(fs::exists(mount() / "who"));
    Unmount(mount());
  }
}

TEST_F(Access, AModelIsMountedAsItsOwnUser) {
  const Finished mounted = BtMount({"model-model123-deploy1.ssh.baseten.co"});
  ASSERT_EQ(mounted.exit_code, 0) << mounted.all();
  EXPECT_EQ(ReadFile(home() / "baseten/model123/deploy1/who"), "node 0");
  EXPECT_NE(AcceptedKeys().find("for app "), std::string::npos) << AcceptedKeys();
}

TEST_F(Access, MountCallsItAsForFstab) {
  // What mount(8) does for the type fuse.bt-mount; it finds the program in the PATH.
  fs::create_symlink(BT_MOUNT_PROGRAM, local() / "bt-mount");
  environment_["PATH"] = local().string() + ":" + environment_["PATH"];
  const Finished mounted =
      Run({"/sbin/mount.fuse3", "demo123/1", mount().string(), "-t", "fuse.bt-mount", "-o", "rw,noauto,user,noexec"});
  ASSERT_EQ(mounted.exit_code, 0) << mounted.all();
  ASSERT_TRUE(IsMounted(mount()));
  EXPECT_EQ(ReadFile(mount() / "who"), "node 1");
  EXPECT_EQ(Run({"umount", mount().string()}).exit_code, 0);
}

TEST_F(Access, NoOtherAuthorityIsTrustedThanThoseOfTheEnvironment) {
  environment_.erase("SSL_CERT_FILE");
  ExpectRefusal({"demo123", mount().string()}, {"TLS certificate of localhost"});
  fs::create_directory(local() / "authorities");
  fs::copy_file(service().ca_file(), local() / "authorities/ca.pem");
  ASSERT_EQ(Run({"openssl", "rehash", (local() / "authorities").string()}).exit_code, 0);
  environment_["SSL_CERT_DIR"] = (local() / "authorities").string();
  Mount();
}

TEST_F(Access, OneMountNeedsTwoCallsAndOneConnection) {
  Mount();
  const standin::Counters counters = service().counters();
  EXPECT_EQ(counters.api_calls, (std::map<std::string, std::uint64_t>{{"search", 1}, {"sign", 1}}));
  EXPECT_EQ(counters.link.connections, 1U);
}

}  // namespace
}  // namespace bt::e2e
