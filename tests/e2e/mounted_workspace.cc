#include "tests/e2e/mounted_workspace.h"

#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <system_error>

#ifndef BT_MOUNT_PROGRAM
#error "BT_MOUNT_PROGRAM comes from CMake"
#endif

namespace bt::e2e {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kEndTimeout{60};

std::string ContentOf(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

fs::path MakeDirectory() {
  // Resolved: the table of mounts has canonical paths.
  std::string name = (fs::canonical(fs::temp_directory_path()) / "bt-e2e-XXXXXX").string();
  return ::mkdtemp(name.data()) == nullptr ? fs::path() : fs::path(name);
}

bool IsBtMount(pid_t pid) {
  std::error_code gone;
  const fs::path program = fs::read_symlink("/proc/" + std::to_string(pid) + "/exe", gone);
  return !gone && program == fs::path(BT_MOUNT_PROGRAM);
}

std::vector<pid_t> Daemons() {
  std::vector<pid_t> daemons = Children();
  daemons.erase(std::remove_if(daemons.begin(), daemons.end(), [](pid_t pid) { return !IsBtMount(pid); }),
                daemons.end());
  return daemons;
}

// All mounts below a directory, the newest first.
std::vector<fs::path> MountsBelow(const fs::path& directory) {
  std::vector<fs::path> found;
  std::ifstream table("/proc/self/mounts");
  std::string source;
  std::string point;
  std::string rest;
  while (table >> source >> point && std::getline(table, rest)) {
    if (point.starts_with(directory.string() + "/")) {
      found.insert(found.begin(), point);
    }
  }
  return found;
}

}  // namespace

ServiceTest::ServiceTest() : directory_(MakeDirectory()) {
  // A bt-mount in the background becomes our child when its parent leaves, so that we see how it ends.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  for (const fs::path& made : {home(), mount(), local(), directory_ / "run"}) {
    fs::create_directory(made);
  }
  ::chmod((directory_ / "run").c_str(), 0700);
}

ServiceTest::~ServiceTest() {
  service_.reset();
  // The mounts below it, if any should be left, are of a dead server: nothing but local files is removed.
  if (MountsBelow(directory_).empty()) {
    std::error_code ignored;
    fs::remove_all(directory_, ignored);
  }
}

void ServiceTest::StartService(const standin::Options& options) {
  ASSERT_FALSE(directory_.empty()) << "no temporary directory";
  ASSERT_EQ(::access("/dev/fuse", R_OK | W_OK), 0) << "these tests mount: they need /dev/fuse";
  service_.reset();
  auto started = standin::Standin::Start(options);
  ASSERT_TRUE(started.ok()) << started.error().text;
  service_ = std::move(*started);

  const char* path = std::getenv("PATH");
  environment_ = service_->Environment();
  environment_["PATH"] = path == nullptr ? "/usr/bin:/bin" : path;
  environment_["HOME"] = home().string();
  environment_["XDG_RUNTIME_DIR"] = (directory_ / "run").string();
  environment_["LC_ALL"] = "C.UTF-8";
  environment_["GIT_CONFIG_NOSYSTEM"] = "1";
  environment_["GIT_AUTHOR_NAME"] = environment_["GIT_COMMITTER_NAME"] = "A Tester";
  environment_["GIT_AUTHOR_EMAIL"] = environment_["GIT_COMMITTER_EMAIL"] = "tester@localhost";
  const std::string report = "log_path=" + (directory_ / "sanitizer").string();
  environment_["ASAN_OPTIONS"] = "detect_leaks=1:" + report;
  environment_["UBSAN_OPTIONS"] = "print_stacktrace=1:" + report;
  environment_["TSAN_OPTIONS"] = "second_deadlock_stack=1:" + report;
}

ProgramOptions ServiceTest::HowToRun() const {
  return {.environment = environment_, .directory = "/", .scratch = directory_};
}

std::unique_ptr<Program> ServiceTest::StartBtMount(const Words& words) {
  Words argv{BT_MOUNT_PROGRAM};
  argv.insert(argv.end(), words.begin(), words.end());
  return std::make_unique<Program>(argv, HowToRun());
}

Finished ServiceTest::BtMount(const Words& words) { return StartBtMount(words)->Wait(mount_timeout_); }

Finished ServiceTest::Run(const Words& argv, std::chrono::seconds timeout) {
  return Program(argv, HowToRun()).Wait(timeout);
}

Finished ServiceTest::Shell(const std::string& command, std::chrono::seconds timeout) {
  ProgramOptions options = HowToRun();
  options.environment["M"] = mount().string();
  options.environment["S"] = server().string();
  options.environment["D"] = local().string();
  options.directory = local();
  return Program({"/bin/bash", "-euo", "pipefail", "-c", command}, options).Wait(timeout);
}

void ServiceTest::Mount(const Words& more, const std::string& target) {
  Words words{target, mount().string()};
  words.insert(words.end(), more.begin(), more.end());
  const Finished mounted = BtMount(words);
  ASSERT_EQ(mounted.exit_code, 0) << mounted.all() << Log();
  ASSERT_NE(mounted.out.find("Mounted"), std::string::npos) << mounted.all();
  ASSERT_TRUE(IsMounted(mount()));
  ASSERT_GT(Daemon(), 0);
}

void ServiceTest::Unmount(const fs::path& mount_point) {
  const std::vector<pid_t> before = Daemons();
  const Finished ended = BtMount({"unmount", mount_point.string()});
  EXPECT_EQ(ended.exit_code, 0) << ended.all();
  EXPECT_FALSE(IsMounted(mount_point));
  if (before.size() == 1) {
    EXPECT_EQ(WaitForChild(before.front(), kEndTimeout), 0) << "bt-mount did not end well after it was unmounted\n"
                                                            << Log();
  }
}

void ServiceTest::TearDown() {
  for (const fs::path& mount_point : MountsBelow(directory_)) {
    const Finished ended = BtMount({"unmount", mount_point.string()});
    EXPECT_EQ(ended.exit_code, 0) << ended.all();
    if (IsMounted(mount_point)) {
      Run({"fusermount3", "-uz", mount_point.string()});
    }
  }
  for (const pid_t daemon : Daemons()) {
    const int exit_code = WaitForChild(daemon, kEndTimeout);
    EXPECT_EQ(exit_code, 0) << "bt-mount did not end well after it was unmounted";
    if (exit_code < 0) {
      ::kill(daemon, SIGKILL);
      WaitForChild(daemon, kEndTimeout);
    }
  }
  EXPECT_TRUE(MountsBelow(directory_).empty());
  ExpectNoSanitizerReport();
  if (HasFailure()) {
    std::fprintf(stderr, "--- log of bt-mount ---\n%s\n", Log().c_str());
  }
}

void ServiceTest::ExpectNoSanitizerReport() const {
  for (const auto& entry : fs::directory_iterator(directory_)) {
    if (entry.path().filename().string().starts_with("sanitizer")) {
      ADD_FAILURE() << entry.path().filename().string() << "\n" << ContentOf(entry.path());
    }
  }
}

Finished ServiceTest::ExpectFailure(const Words& words) {
  Finished failed = BtMount(words);
  EXPECT_GT(failed.exit_code, 0) << failed.all();
  EXPECT_EQ(failed.out.find("Mounted"), std::string::npos);
  EXPECT_TRUE(MountsBelow(directory_).empty());
  for (const pid_t daemon : Daemons()) {  // its process may take a moment longer than the word about its failure
    EXPECT_EQ(WaitForChild(daemon, kEndTimeout), 1);
  }
  return failed;
}

void ServiceTest::ExpectRefusal(const Words& words, const std::vector<std::string>& telling) {
  const Finished refused = ExpectFailure(words);
  for (const std::string& word : telling) {
    EXPECT_NE(refused.err.find(word), std::string::npos) << "\"" << word << "\" is not in: " << refused.all();
  }
}

pid_t ServiceTest::Daemon() {
  const std::vector<pid_t> daemons = Daemons();
  return daemons.size() == 1 ? daemons.front() : -1;
}

bool ServiceTest::IsMounted(const fs::path& mount_point) {
  const std::vector<fs::path> mounts = MountsBelow(mount_point.parent_path());
  return std::find(mounts.begin(), mounts.end(), mount_point) != mounts.end();
}

std::string ServiceTest::Log() const {
  std::string text;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(home() / ".local/state/bt-mount", none)) {
    if (entry.is_regular_file(none)) {
      text += ContentOf(entry.path());
    }
  }
  return text;
}

}  // namespace bt::e2e
