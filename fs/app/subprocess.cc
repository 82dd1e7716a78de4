#include "fs/app/subprocess.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include <fmt/format.h>

#include "transport/base/unique_fd.h"

// POSIX leaves the declaration to us.
// NOLINTNEXTLINE(readability-redundant-declaration,cppcoreguidelines-avoid-non-const-global-variables)
extern char** environ;

namespace bt::app {
namespace {

constexpr std::size_t kOutputLimit = 64U << 10U;

std::string ReadToEnd(int fd) {
  std::string output;
  std::array<char, 4096> chunk;
  for (;;) {
    const ssize_t got = ::read(fd, chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      return output;
    }
    if (output.size() < kOutputLimit) {
      output.append(chunk.data(), static_cast<std::size_t>(got));
    }
  }
}

}  // namespace

Result<ProcessOutcome> RunProcess(const std::vector<std::string>& command) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    return Error{Code::kInternal, fmt::format("cannot make a pipe: {}", SystemText(errno)), "app.pipe"};
  }
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, write_end.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, write_end.get(), STDERR_FILENO);
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (const std::string& word : command) {
    arguments.push_back(const_cast<char*>(word.c_str()));  // NOLINT(cppcoreguidelines-pro-type-const-cast): exec's API
  }
  arguments.push_back(nullptr);
  pid_t child = 0;
  const int problem = ::posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  write_end.Reset();
  if (problem != 0) {
    return Error{problem == ENOENT ? Code::kNotFound : Code::kInternal,
                 fmt::format("cannot run {}: {}", command.front(), SystemText(problem)), "app.spawn"};
  }

  ProcessOutcome outcome;
  outcome.output = ReadToEnd(read_end.get());
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return outcome;
}

}  // namespace bt::app
