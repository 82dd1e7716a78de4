// What must never be seen: the API key, the token, the private key.
#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "tests/e2e/mounted_workspace.h"
#include "tests/e2e/tree.h"

namespace bt::e2e {
namespace {

namespace fs = std::filesystem;

class Secrets : public ServiceTest {
 protected:
  void SetUp() override {
    ServiceTest::SetUp();
    ASSERT_FALSE(HasFatalFailure());
    ASSERT_EQ(Run({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", KeyFile().string()}).exit_code, 0);
    environment_["BASETEN_SSH_DIR"] = KeyFile().parent_path().string();
    std::string line;
    for (std::ifstream key(KeyFile()); std::getline(key, line);) {
      if (!line.starts_with("-----") && line.size() > 40 && line.find("b3BlbnNzaC1rZXktdjE") == std::string::npos) {
        key_lines_.push_back(line);
      }
    }
    ASSERT_FALSE(key_lines_.empty());
  }

  fs::path KeyFile() const { return local() / "id_ed25519"; }

  void ExpectNone(const std::string& text, const std::string& where) {
    // Every token begins with this: the base64 of {" .
    std::vector<std::string> secrets{service().api_key(), "eyJ", "PRIVATE KEY", "Bearer "};
    secrets.insert(secrets.end(), key_lines_.begin(), key_lines_.end());
    for (const std::string& secret : secrets) {
      EXPECT_EQ(text.find(secret), std::string::npos) << "a secret is in " << where << ":\n" << text;
    }
  }

  void ExpectNoneInFiles() {
    int files = 0;
    for (const auto& entry : fs::recursive_directory_iterator(home())) {
      if (entry.is_regular_file()) {
        ++files;
        ExpectNone(ReadFile(entry.path()), entry.path().string());
        EXPECT_EQ(entry.status().permissions() & (fs::perms::group_all | fs::perms::others_all), fs::perms::none)
            << entry.path();
      }
    }
    EXPECT_GT(files, 0) << "there is no log to look at";
  }

  std::vector<std::string> key_lines_;
};

// Nothing when the process is gone.
std::string CommandLineOf(const fs::path& process) {
  const UniqueFd fd(::open((process / "cmdline").c_str(), O_RDONLY | O_CLOEXEC));
  std::string line(4096, '\0');
  const ssize_t got = ::read(fd.get(), line.data(), line.size());
  line.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return line;
}

// The command lines of our children and of theirs, seen as often as they can be looked at until it ends.
std::string WatchCommandLines(const std::function<bool()>& is_over) {
  std::set<std::string> seen;
  while (!is_over()) {
    for (const auto& entry : fs::directory_iterator("/proc")) {
      if (entry.path().filename().string().find_first_not_of("0123456789") == std::string::npos) {
        seen.insert(CommandLineOf(entry.path()));
      }
    }
  }
  std::string text;
  for (const std::string& line : seen) {
    // Of this test's own programs only: others may well have secrets.
    if (line.find("bt-mount") != std::string::npos || line.find("fusermount") != std::string::npos) {
      text += line + "\n";
    }
  }
  return text;
}

TEST_F(Secrets, AreInNoMessageNoLogNoFileAndNoCommandLine) {
  const auto program = StartBtMount({"demo123", mount().string(), "--debug"});
  const auto deadline = std::chrono::steady_clock::now() + mount_timeout_;
  const std::string lines = WatchCommandLines([&] {
    return program->OutputSoFar().find("Mounted") != std::string::npos || std::chrono::steady_clock::now() > deadline;
  });
  EXPECT_NE(lines.find("demo123"), std::string::npos) << "the command line of bt-mount was not seen";
  ExpectNone(lines, "a command line");
  const Finished mounted = program->Wait(mount_timeout_);
  ASSERT_EQ(mounted.exit_code, 0) << mounted.all();
  ExpectNone(mounted.all(), "what bt-mount said");

  WriteFile(mount() / "f", "text");
  service().link().CutAll();
  static_cast<void>(::access((mount() / "g").c_str(), F_OK));  // whatever this connection's end leads to, it is logged
  const pid_t daemon = Daemon();
  for (const char* file : {"cmdline", "comm"}) {
    ExpectNone(ReadFile(fs::path("/proc") / std::to_string(daemon) / file), file);
  }
  for (const auto& task : fs::directory_iterator(fs::path("/proc") / std::to_string(daemon) / "task")) {
    ExpectNone(ReadFile(task.path() / "comm"), "the name of a thread");
  }
  Unmount(mount());
  EXPECT_FALSE(Log().empty());
  ExpectNoneInFiles();
}

TEST_F(Secrets, AreInNoMessageOfAFailure) {
  const auto expect_none = [&] {
    ExpectNone(ExpectFailure({"demo123", mount().string(), "--debug"}).all(), "what bt-mount said");
  };
  service().SetApiFault({.kind = standin::ApiFaultKind::kGarbage, .endpoint = "sign", .status = 200});
  expect_none();
  service().ClearApiFault();
  service().SetProxyRefusal(standin::RefuseMode::kStatusByte);
  expect_none();
  service().SetProxyRefusal(standin::RefuseMode::kNone);
  service().SetLifetimes({.certificate = std::chrono::seconds(-60)});
  expect_none();
  service().SetLifetimes({.token = std::chrono::seconds(-60)});
  expect_none();
  ExpectNoneInFiles();
}

TEST_F(Secrets, AreNotSentInTheClearUnlessAskedFor) {
  environment_["BASETEN_BASE_URL"] = "http://api.example.com";
  ExpectRefusal({"demo123", mount().string()}, {"BASETEN_BASE_URL", "https"});
}

TEST_F(Secrets, LeaveNoCoreFile) {
  Mount();
  const std::string limits = ReadFile(fs::path("/proc") / std::to_string(Daemon()) / "limits");
  const std::size_t line = limits.find("Max core file size");
  ASSERT_NE(line, std::string::npos);
  EXPECT_EQ(limits.substr(line, limits.find('\n', line) - line).find_first_of("123456789"), std::string::npos);
}

}  // namespace
}  // namespace bt::e2e
