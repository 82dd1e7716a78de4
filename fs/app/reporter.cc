#include "fs/app/reporter.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>

#include <fmt/format.h>

namespace bt::app {
namespace {

void Say(std::FILE* where, std::string_view text) {
  fmt::print(where, "{}\n", text);
  std::fflush(where);
}

class TerminalReporter : public Reporter {
 public:
  void Progress(std::string_view text) override { Say(stderr, text); }
  void Mounted(std::string_view text) override { Say(stdout, text); }
  void Failed(std::string_view text) override { Say(stderr, fmt::format("bt-mount: {}", text)); }
};

// A report on the pipe: kind, length, text. Both ends are one program, so native byte order will do.
enum class Kind : char { kProgress = 'P', kMounted = 'M', kFailed = 'F' };
struct Header {
  Kind kind;
  std::uint32_t bytes;
};

bool WriteAll(int fd, const void* data, std::size_t bytes) {
  const char* next = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(fd, next, bytes);
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written <= 0) {
      return false;
    }
    next += written;
    bytes -= static_cast<std::size_t>(written);
  }
  return true;
}

bool ReadAll(int fd, void* data, std::size_t bytes) {
  char* next = static_cast<char*>(data);
  while (bytes > 0) {
    const ssize_t got = ::read(fd, next, bytes);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      return false;
    }
    next += got;
    bytes -= static_cast<std::size_t>(got);
  }
  return true;
}

class PipeReporter : public Reporter {
 public:
  explicit PipeReporter(UniqueFd pipe) : pipe_(std::move(pipe)) {}

  void Progress(std::string_view text) override { Send(Kind::kProgress, text); }

  void Mounted(std::string_view text) override {
    // Only now leave the terminal: until here Ctrl-C shall reach us as well as the parent.
    ::setsid();
    if (::chdir("/") != 0) {
      // Staying where we are only keeps that directory busy.
    }
    const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (null) {
      for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        ::dup2(null.get(), fd);
      }
    }
    Send(Kind::kMounted, text);
    pipe_.Reset();
  }

  void Failed(std::string_view text) override {
    Send(Kind::kFailed, text);
    pipe_.Reset();
  }

 private:
  void Send(Kind kind, std::string_view text) {
    // A parent that is gone is no reason to stop: SIGPIPE is ignored and the text is lost.
    const Header header{kind, static_cast<std::uint32_t>(text.size())};
    if (pipe_ && WriteAll(pipe_.get(), &header, sizeof header)) {
      WriteAll(pipe_.get(), text.data(), text.size());
    }
  }

  UniqueFd pipe_;
};

int RelayReports(int pipe, pid_t child) {
  TerminalReporter terminal;
  Header header{};
  while (ReadAll(pipe, &header, sizeof header)) {
    std::string text(header.bytes, '\0');
    if (!ReadAll(pipe, text.data(), text.size())) {
      break;
    }
    switch (header.kind) {
      case Kind::kProgress:
        terminal.Progress(text);
        continue;
      case Kind::kMounted:
        terminal.Mounted(text);
        return 0;
      case Kind::kFailed:
        terminal.Failed(text);
        return 1;
    }
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  terminal.Failed(WIFSIGNALED(status)
                      ? fmt::format("the mount process ended by signal {} before it was mounted", WTERMSIG(status))
                      : "the mount process ended before it was mounted");
  return 1;
}

}  // namespace

std::unique_ptr<Reporter> MakeTerminalReporter() { return std::make_unique<TerminalReporter>(); }

Result<std::variant<std::unique_ptr<Reporter>, int>> ForkIntoBackground() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    return Error{Code::kInternal, fmt::format("cannot make a pipe: {}", SystemText(errno)), "app.pipe"};
  }
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) {
    return Error{Code::kInternal, fmt::format("cannot start the mount process: {}", SystemText(errno)), "app.fork"};
  }
  using Outcome = std::variant<std::unique_ptr<Reporter>, int>;
  if (child == 0) {
    read_end.Reset();
    return Outcome(std::make_unique<PipeReporter>(std::move(write_end)));
  }
  write_end.Reset();
  return Outcome(RelayReports(read_end.get(), child));
}

}  // namespace bt::app
