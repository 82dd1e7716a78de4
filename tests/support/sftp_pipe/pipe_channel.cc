#include "tests/support/sftp_pipe/pipe_channel.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <chrono>

#include "transport/base/thread_name.h"

namespace bt::test {
namespace {

constexpr std::array<const char*, 4> kServers{"/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server",
                                              "/usr/libexec/sftp-server", "/usr/lib/ssh/sftp-server"};
constexpr std::size_t kReadBytes = 256 * 1024;
constexpr int kTurnPollMilliseconds = 1;  // the client tells nobody when it begins to wait

Error SystemError(const char* what) {
  return Error{Code::kInternal, fmt::format("{}: {}", what, SystemText(errno)), "test.pipe"};
}

}  // namespace

Result<std::unique_ptr<PipeChannel>> PipeChannel::Spawn(PipeOptions options) {
  const char* program = nullptr;
  for (const char* candidate : kServers) {
    if (program == nullptr && ::access(candidate, X_OK) == 0) {
      program = candidate;
    }
  }
  if (program == nullptr) {
    return Error{Code::kConfig, "no sftp-server found: install openssh-sftp-server", "test.pipe"};
  }
  std::array<int, 2> sockets{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()) != 0) {
    return SystemError("socketpair");
  }
  UniqueFd ours(sockets[0]);
  const UniqueFd theirs(sockets[1]);
  ::fcntl(ours.get(), F_SETFL, O_NONBLOCK);
  UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));

  std::vector<std::string> arguments{program};
  arguments.insert(arguments.end(), options.arguments.begin(), options.arguments.end());
  std::vector<char*> argv;
  for (std::string& argument : arguments) {
    argv.push_back(argument.data());
  }
  argv.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, theirs.get(), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, theirs.get(), STDOUT_FILENO);
  pid_t server = 0;
  const int failed = ::posix_spawn(&server, program, &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) {
    errno = failed;
    return SystemError("posix_spawn");
  }
  return std::unique_ptr<PipeChannel>(new PipeChannel(std::move(options), std::move(ours), std::move(wake), server));
}

PipeChannel::PipeChannel(PipeOptions options, UniqueFd socket, UniqueFd wake, pid_t server)
    : options_(std::move(options)),
      wake_(std::move(wake)),
      server_(server),
      socket_(std::move(socket)),
      reply_counter_([this](UninitializedBytes) {
        ++replies_;
        return Status();
      }) {}

PipeChannel::~PipeChannel() {
  Abort(Error{Code::kDisconnected, "the channel was destroyed", "test.pipe"});
  if (thread_.joinable()) {
    thread_.join();
  }
  ::kill(server_, SIGKILL);
  ::waitpid(server_, nullptr, 0);
}

void PipeChannel::Start(Receiver& receiver) {
  receiver_ = &receiver;
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

void PipeChannel::Send(std::vector<std::byte> message) {
  {
    MutexLock lock(mutex_);
    ++sent_;
    ++requests_[static_cast<sftp::MessageType>(message[4])];
    queue_.push_back(std::move(message));
  }
  Wake();
}

void PipeChannel::Abort(Error why) {
  {
    MutexLock lock(mutex_);
    if (!aborted_) {
      aborted_ = std::move(why);
    }
  }
  Wake();
}

void PipeChannel::Cut() { Abort(Error{Code::kDisconnected, "the link was cut", "test.cut"}); }

std::map<sftp::MessageType, int> PipeChannel::TakeRequests() {
  MutexLock lock(mutex_);
  return std::exchange(requests_, {});
}

void PipeChannel::StartTurns(std::function<bool()> client_waits) {
  {
    MutexLock lock(mutex_);
    client_waits_ = std::move(client_waits);
    turns_ = 0;
  }
  Wake();
}

int PipeChannel::StopTurns() {
  int turns = 0;
  {
    MutexLock lock(mutex_);
    client_waits_ = nullptr;
    turns = turns_;
  }
  Wake();
  return turns;
}

void PipeChannel::Wake() const { ::eventfd_write(wake_.get(), 1); }

void PipeChannel::Run(const std::stop_token& stop) {
  SetThreadName("test-sftp-pipe");
  while (!stop.stop_requested()) {
    bool want_write = written_ < writing_.size();
    bool turns = false;
    {
      MutexLock lock(mutex_);
      if (aborted_) {
        break;
      }
      want_write = want_write || !queue_.empty();
      turns = static_cast<bool>(client_waits_);
    }
    const short events = static_cast<short>(POLLIN | (want_write ? POLLOUT : 0));
    std::array<pollfd, 2> polled{{{socket_.get(), events, 0}, {wake_.get(), POLLIN, 0}}};
    ::poll(polled.data(), polled.size(), turns ? kTurnPollMilliseconds : -1);
    eventfd_t ignored = 0;
    ::eventfd_read(wake_.get(), &ignored);
    if (!WriteQueued() || !ReadAvailable()) {
      break;
    }
    Deliver();
  }
  End();
}

bool PipeChannel::WriteQueued() {
  for (;;) {
    if (written_ == writing_.size()) {
      MutexLock lock(mutex_);
      if (queue_.empty()) {
        return true;
      }
      writing_ = std::move(queue_.front());
      queue_.pop_front();
      written_ = 0;
      ++started_;
    }
    const ssize_t sent = ::send(socket_.get(), writing_.data() + written_, writing_.size() - written_, MSG_NOSIGNAL);
    if (sent < 0) {
      return errno == EAGAIN || errno == EINTR;
    }
    written_ += static_cast<std::size_t>(sent);
  }
}

bool PipeChannel::ReadAvailable() {
  std::vector<std::byte> chunk(kReadBytes);
  const ssize_t got = ::recv(socket_.get(), chunk.data(), chunk.size(), 0);
  if (got <= 0) {
    return got < 0 && (errno == EAGAIN || errno == EINTR);
  }
  auto count = static_cast<std::size_t>(got);
  bool cut = false;
  if (options_.cut_after_bytes && bytes_received_ + count > *options_.cut_after_bytes) {
    count = static_cast<std::size_t>(*options_.cut_after_bytes - bytes_received_);
    cut = true;
  }
  bytes_received_ += count;
  held_.insert(held_.end(), chunk.begin(), chunk.begin() + static_cast<std::ptrdiff_t>(count));
  const bool well_formed = reply_counter_.Feed(std::span(chunk).first(count)).ok();
  if (cut) {
    receiver_->OnBytes(std::exchange(held_, {}));
  }
  return well_formed && !cut;
}

void PipeChannel::Deliver() {
  if (held_.empty()) {
    return;
  }
  std::function<bool()> client_waits;
  {
    MutexLock lock(mutex_);
    client_waits = client_waits_;
  }
  if (client_waits) {
    // In this order: a client that waits sends nothing more.
    const bool waits = client_waits();
    MutexLock lock(mutex_);
    if (!waits || replies_ != sent_) {
      return;
    }
    ++turns_;
  }
  receiver_->OnBytes(std::exchange(held_, {}));
}

void PipeChannel::End() {
  socket_.Reset();
  Error why{Code::kDisconnected, "the sftp-server ended", "test.pipe"};
  {
    MutexLock lock(mutex_);
    if (aborted_) {
      why = *aborted_;
    }
  }
  receiver_->OnClosed(why, started_);
}

}  // namespace bt::test
