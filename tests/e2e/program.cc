#include "tests/e2e/program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <sstream>
#include <system_error>

#include "transport/base/error.h"

namespace bt::e2e {
namespace {

constexpr int kNotStarted = 127;

// A file without a name.
UniqueFd ScratchFile(const std::filesystem::path& directory) {
  return UniqueFd(::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
}

std::string ContentOf(int fd) {
  std::string text;
  std::array<char, 65536> chunk{};
  ssize_t got = 0;
  while ((got = ::pread(fd, chunk.data(), chunk.size(), static_cast<off_t>(text.size()))) > 0) {
    text.append(chunk.data(), static_cast<std::size_t>(got));
  }
  return text;
}

std::vector<char*> Pointers(Words& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) {
    pointers.push_back(word.data());
  }
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

Program::Program(const Words& argv, const ProgramOptions& options)
    : out_(ScratchFile(options.scratch)), err_(ScratchFile(options.scratch)) {
  Words words = argv;
  Words variables;
  for (const auto& [name, value] : options.environment) {
    std::string variable = name;
    variable.append("=").append(value);
    variables.push_back(std::move(variable));
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addchdir_np(&actions, options.directory.c_str());
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out_.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err_.get(), STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  const int problem = ::posix_spawnp(&pid_, words.front().c_str(), &actions, &attributes, Pointers(words).data(),
                                     Pointers(variables).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (problem != 0) {
    pid_ = -1;
    ADD_FAILURE() << "cannot start " << words.front() << ": " << SystemText(problem);
  }
}

Program::~Program() {
  if (pid_ > 0) {
    Signal(SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
}

void Program::Signal(int signal) const {
  if (pid_ > 0) {
    ::kill(-pid_, signal);
  }
}

std::string Program::OutputSoFar() const { return ContentOf(out_.get()) + ContentOf(err_.get()); }

Finished Program::Wait(std::chrono::seconds timeout) {
  Finished finished;
  if (pid_ < 0) {
    finished.exit_code = kNotStarted;
    return finished;
  }
  finished.exit_code = WaitForChild(pid_, timeout);
  if (finished.exit_code < 0) {
    Signal(SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  pid_ = -1;
  finished.out = ContentOf(out_.get());
  finished.err = ContentOf(err_.get());
  return finished;
}

int WaitForChild(pid_t pid, std::chrono::seconds timeout) {
  // Not glibc's own: the header of 2.36 declares it for C only.
  const UniqueFd watch(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  struct pollfd ready {};
  ready.fd = watch.get();
  ready.events = POLLIN;
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(timeout).count();
  int status = 0;
  if (!watch || ::poll(&ready, 1, static_cast<int>(milliseconds)) != 1 || ::waitpid(pid, &status, 0) != pid) {
    return -1;
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

std::vector<pid_t> Children() {
  std::vector<pid_t> children;
  std::error_code ignored;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task", ignored)) {
    std::ifstream file(task.path() / "children");
    for (pid_t pid = 0; file >> pid;) {
      children.push_back(pid);
    }
  }
  return children;
}

}  // namespace bt::e2e
