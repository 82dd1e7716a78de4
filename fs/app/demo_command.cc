#include "fs/app/demo_command.h"

#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "fs/app/demo_workspace.h"
#include "fs/app/home.h"
#include "fs/app/mount_command.h"
#include "fs/app/mount_plan.h"
#include "fs/app/reporter.h"
#include "fs/fuse/mount_point.h"
#include "fs/fuse/mount_table.h"
#include "transport/base/unique_fd.h"

// POSIX leaves the declaration to us.
// NOLINTNEXTLINE(readability-redundant-declaration,cppcoreguidelines-avoid-non-const-global-variables)
extern char** environ;

namespace bt::app {
namespace {

constexpr const char* kJob = "demo123";

// The stand-in ends when the last writer of its standard input is gone: the mount process inherits the pipe, so that
// unmounting ends everything and nothing stays behind.
struct Standin {
  UniqueFd lifeline;
  std::vector<std::pair<std::string, std::string>> environment;
};

Result<std::filesystem::path> StandinProgram() {
  std::error_code problem;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", problem);
  std::filesystem::path program = self.parent_path() / "bt-standin";
  if (problem || ::access(program.c_str(), X_OK) != 0) {
    return Error{Code::kConfig,
                 fmt::format("the demo needs the program bt-standin beside bt-mount ({}); ./scripts/run.sh builds both",
                             program.string()),
                 "demo.program"};
  }
  return program;
}

Result<std::string> ReadLine(int fd) {
  std::string line;
  for (char c = 0; ::read(fd, &c, 1) == 1 && c != '\n';) {
    line += c;
  }
  return line;
}

Result<Standin> StartStandin(const std::filesystem::path& directory) {
  const std::filesystem::path program = TRY(StandinProgram());
  std::array<int, 2> to_child{};
  std::array<int, 2> from_child{};
  if (::pipe2(to_child.data(), O_CLOEXEC) != 0 || ::pipe2(from_child.data(), O_CLOEXEC) != 0) {
    return Error{Code::kInternal, fmt::format("cannot make a pipe: {}", SystemText(errno)), "demo.pipe"};
  }
  const UniqueFd child_input(to_child[0]);
  Standin standin{.lifeline = UniqueFd(to_child[1]), .environment = {}};
  const UniqueFd output(from_child[0]);
  UniqueFd child_output(from_child[1]);
  const std::string log = (directory / "standin.log").string();

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, child_input.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, child_output.get(), STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);  // Ctrl-C is for the mount, which ends it in turn
  std::string name = program.string();
  std::string dir_flag = "--dir";
  std::string dir = directory.string();
  std::string lifeline_flag = "--until-stdin-closes";
  std::array<char*, 5> argv{name.data(), dir_flag.data(), dir.data(), lifeline_flag.data(), nullptr};
  pid_t child = 0;
  const int problem = ::posix_spawn(&child, name.c_str(), &actions, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  child_output.Reset();
  if (problem != 0) {
    return Error{Code::kInternal, fmt::format("cannot start {}: {}", name, SystemText(problem)), "demo.start"};
  }

  const std::string line = TRY(ReadLine(output.get()));
  const auto ready = nlohmann::json::parse(line, nullptr, false);
  if (!ready.is_object() || !ready.contains("env")) {
    return Error{Code::kFailure, fmt::format("the stand-in did not start; its words are in {}", log), "demo.start"};
  }
  for (const auto& [key, value] : ready["env"].items()) {
    standin.environment.emplace_back(key, value.get<std::string>());
  }
  return standin;
}

void PrintTree(const std::filesystem::path& directory, int depth) {
  std::error_code ignored;
  std::vector<std::filesystem::directory_entry> entries(std::filesystem::directory_iterator(directory, ignored), {});
  std::sort(entries.begin(), entries.end());
  for (const auto& entry : entries) {
    const bool is_link = entry.is_symlink(ignored);
    const bool is_directory = !is_link && entry.is_directory(ignored);
    std::string tail;
    if (is_link) {
      tail = " -> " + std::filesystem::read_symlink(entry.path(), ignored).string();
    } else if (is_directory) {
      tail = "/";
    } else {
      tail = fmt::format("  ({} bytes)", entry.file_size(ignored));
    }
    fmt::print("  {:{}}{}{}\n", "", depth * 2, entry.path().filename().string(), tail);
    if (is_directory) {
      PrintTree(entry.path(), depth + 1);
    }
  }
}

void PrintWelcome(const std::filesystem::path& mount_point) {
  fmt::print("\n{}\n", mount_point.string());
  PrintTree(mount_point, 0);
  fmt::print(
      "\nLook around:\n"
      "  ls -l {0}\n"
      "  tail -f {0}/logs/train.log\n"
      "  echo hello > {0}/note.txt\n"
      "Your own job: bt-mount <job id>        More: bt-mount --help\n"
      "End it:       bt-mount unmount {0}\n",
      mount_point.string());
}

Result<int> Run(const DemoOptions& options) {
  const std::filesystem::path mount_point = DefaultMountPoint(TRY(access::ParseTarget(kJob)));
  if (const auto mount = fuse::FindMountAt(mount_point); mount && mount->fs_type == fuse::kFsType) {
    std::error_code dead;
    if (std::filesystem::is_directory(mount_point, dead)) {
      return Error{
          Code::kConfig,
          fmt::format("the demo is mounted at {0} already; end it with: bt-mount unmount {0}", mount_point.string()),
          "demo.mounted"};
    }
  }
  const std::filesystem::path directory = XdgDirectory("XDG_STATE_HOME", ".local/state") / "bt-mount" / "demo";
  std::error_code problem;
  std::filesystem::create_directories(directory, problem);
  TRY(MakeDemoWorkspace(directory / "node-0"));
  const Standin standin = TRY(StartStandin(directory));
  for (const auto& [key, value] : standin.environment) {
    ::setenv(key.c_str(), value.c_str(), 1);  // NOLINT(concurrency-mt-unsafe): no threads yet
  }
  // The demo is a job of its own: what is set up for the real service must not get in its way.
  for (const char* name : {"BASETEN_SSH_PROXY_INSECURE", "SSL_CERT_DIR"}) {
    ::unsetenv(name);  // NOLINT(concurrency-mt-unsafe)
  }
  MountOptions mount;
  mount.target = kJob;
  mount.foreground = options.foreground;
  const int code = RunMount(mount);
  if (code == 0 && !options.foreground) {
    PrintWelcome(mount_point);
  }
  return code;
}

}  // namespace

int RunDemo(const DemoOptions& options) {
  const auto code = Run(options);
  if (!code) {
    MakeTerminalReporter()->Failed(code.error().text);
    return 1;
  }
  return *code;
}

}  // namespace bt::app
