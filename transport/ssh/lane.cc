#include "transport/ssh/lane.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

#include "transport/base/thread_name.h"
#include "transport/ssh/errors.h"

namespace bt::ssh {
namespace {

// A login takes a few KiB. A peer that sends more is no SSH server, or means no good: libssh2 would collect it.
constexpr std::uint64_t kMaxLoginBytes = 1024 * 1024;

constexpr std::size_t kScratch = 32 * 1024;  // for what has no room of its own: one packet

}  // namespace

Lane::Lane(std::unique_ptr<ByteStream> stream, CertificateLogin login)
    : stream_(std::move(stream)),
      login_(std::move(login)),
      buffer_(*stream_, counters_),
      scratch_(kScratch),
      thread_([this] { Run(); }) {}

Lane::~Lane() {
  assert(!OnOwnThread());
  destroyed_.store(true);
  doorbell_.Ring();
  thread_.join();
}

Result<Lane::Server> Lane::WaitUntilReady(const OpContext& ctx) {
  Status still;
  {
    const MutexLock lock(mutex_);
    while (!ready_) {
      still = ctx.Check();
      if (!still.ok()) {
        break;
      }
      changed_.Wait(mutex_, ctx);
    }
    if (ready_) {
      return *ready_;
    }
  }
  Error why = still.error();
  why.text = why.code == Code::kTimedOut
                 ? "the container's SSH server did not finish the login in time; the network or "
                   "the container may be overloaded, try again"
                 : "the SSH login was interrupted";
  Stop(why);
  const MutexLock lock(mutex_);
  while (!ready_) {  // soon: the thread is awake, and its stream is dead
    changed_.Wait(mutex_);
  }
  return why;
}

void Lane::AddChannel(ChannelRequest request, std::shared_ptr<Mailbox> mailbox) {
  {
    const MutexLock lock(mutex_);
    new_channels_.push_back(std::make_unique<Channel>(std::move(request), std::move(mailbox)));
  }
  doorbell_.Ring();
}

void Lane::Stop(Error why) {
  {
    const MutexLock lock(mutex_);
    if (!stopped_) {
      stopped_ = std::move(why);
    }
  }
  stream_->Abort();
  doorbell_.Ring();
}

std::optional<Error> Lane::ended() const {
  const MutexLock lock(mutex_);
  return ended_;
}

void Lane::Run() {
  SetThreadName("bt-ssh-io");
  Result<Server> server =
      doorbell_.ok() ? Connect()
                     : Result<Server>(Error{Code::kInternal, "no file descriptor is left for an SSH connection",
                                            "ssh.descriptors", Fate::kNotSent});
  login_.reset();
  std::optional<Error> end;
  if (!server.ok()) {
    end = server.error();
  }
  {
    const MutexLock lock(mutex_);
    ready_ = std::move(server);
    changed_.NotifyAll();
  }
  const bool logged_in = !end;
  if (logged_in) {
    end = Serve();
  }
  End(*end, logged_in);
  ServeTheDead(*end);
}

Result<Lane::Server> Lane::Connect() {
  session_ = TRY(Session::Create(buffer_, stream_->fd()));
  TRY(Drive([this] { return session_->Handshake(); }));
  Server server{TRY(session_->ReadHostKey()), session_->server_version()};
  TRY(Drive([this] { return login_->Step(session_->get()); }));
  return server;
}

// Repeats a step of the login until it is done.
template <typename Step>
Status Lane::Drive(Step step) {
  for (;;) {
    doorbell_.Awake(false);
    TRY(CheckStopped());
    buffer_.BeginPass();
    const Result<bool> done = step();
    buffer_.Flush();
    TRY(CheckStopped());
    if (!done.ok()) {
      Error error = done.error();
      if (!session_->farewell().empty()) {
        error.text += fmt::format("; the server said {}", session_->farewell());
      }
      return error;
    }
    if (*done) {
      return {};
    }
    if (counters_.bytes_in.load() > kMaxLoginBytes) {
      return Error{Code::kProtocol,
                   "what answers in the container's place does not speak SSH (it sends too much before the login)",
                   "ssh.handshake", Fate::kNotSent};
    }
    if (!buffer_.moved()) {
      if (buffer_.failure()) {
        return StreamFailure("during the SSH login");
      }
      Sleep(true);
    }
  }
}

Status Lane::CheckStopped() const {
  if (destroyed_.load()) {
    return Error{Code::kInterrupted, "the connection was closed by bt-mount", "ssh.closed", Fate::kUnknown};
  }
  const MutexLock lock(mutex_);
  if (stopped_) {
    return *stopped_;
  }
  return {};
}

Error Lane::StreamFailure(std::string_view during) const {
  Error error = *buffer_.failure();
  error.text = fmt::format("the connection to the container ended {}: {}", during, error.text);
  return error;
}

Error Lane::Serve() {
  for (;;) {
    doorbell_.Awake(false);
    const TimePoint now = Clock::now();
    if (Status stopped = CheckStopped(); !stopped.ok()) {
      return std::move(stopped).error();
    }
    buffer_.BeginPass();
    Status moved = Pass(now);
    buffer_.Flush();
    if (!moved.ok()) {
      Status stopped = CheckStopped();  // an abort shows first as a failure of libssh2
      Error why = stopped.ok() ? std::move(moved).error() : std::move(stopped).error();
      if (!session_->farewell().empty()) {
        why.text = fmt::format("the container's SSH server ended the connection: {}", session_->farewell());
      }
      return why;
    }

    // libssh2 hands what one channel reads from the transport to all of them, so as long as bytes came in every channel
    // gets another turn before the thread may sleep.
    const bool pumping =
        std::any_of(channels_.begin(), channels_.end(), [](const auto& channel) { return channel->pumps_transport(); });
    const bool more =
        std::any_of(channels_.begin(), channels_.end(), [](const auto& channel) { return channel->wants_more(); });
    if (more || (pumping && (buffer_.moved() || buffer_.has_input()))) {
      continue;
    }
    if (!pumping) {
      buffer_.Fill();  // libssh2 reads for a channel only; this is how the stream's end is seen without one
    }
    if (buffer_.failure()) {
      if (Status stopped = CheckStopped(); !stopped.ok()) {
        return std::move(stopped).error();
      }
      Error why = StreamFailure("unexpectedly");
      why.fate = Fate::kUnknown;
      return why;
    }
    Sleep(!buffer_.has_input());
  }
}

Status Lane::Pass(TimePoint now) {
  TakeNewChannels();
  for (const auto& channel : channels_) {
    const bool another_opens = std::any_of(channels_.begin(), channels_.end(), [&channel](const auto& other) {
      return other != channel && other->opening();
    });
    TRY(channel->Pump(*session_, !another_opens, scratch_, now));
  }
  std::erase_if(channels_, [](const auto& channel) { return channel->done(); });
  return {};
}

void Lane::Sleep(bool listen) {
  if (listen && stream_->HasPending()) {
    return;  // TLS holds bytes that poll() does not know of
  }
  if (!doorbell_.FallAsleep()) {
    return;
  }
  int timeout_ms = -1;
  for (const auto& channel : channels_) {
    if (const auto at = channel->wake_at()) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(*at - Clock::now());
      const int ms = static_cast<int>(std::clamp<std::chrono::milliseconds::rep>(left.count(), 0, 60'000));
      timeout_ms = timeout_ms < 0 ? ms : std::min(timeout_ms, ms);
    }
  }
  const bool write = buffer_.wants_write();
  const bool watch = (listen || write) && !buffer_.failure();
  std::array<pollfd, 2> fds{
      {{doorbell_.fd(), POLLIN, 0}, {watch ? stream_->fd() : -1, watch ? stream_->poll_events(write) : short{0}, 0}}};
  ::poll(fds.data(), fds.size(), timeout_ms);  // EINTR: an early wake-up
  doorbell_.Awake((fds[0].revents & POLLIN) != 0);
}

void Lane::End(const Error& why, bool logged_in) {
  if (logged_in && !buffer_.failure()) {
    session_->SayGoodbye();
    buffer_.Flush();
  }
  session_.reset();
  stream_->Abort();
  {
    const MutexLock lock(mutex_);
    ended_ = why;
  }
}

void Lane::ServeTheDead(const Error& why) {
  for (;;) {
    doorbell_.Awake(false);
    const bool last = destroyed_.load();
    TakeNewChannels();
    for (const auto& channel : channels_) {
      channel->LaneEnded(why);
    }
    std::erase_if(channels_, [](const auto& channel) { return channel->done(); });
    if (last) {
      return;
    }
    if (doorbell_.FallAsleep()) {
      pollfd fd{doorbell_.fd(), POLLIN, 0};
      ::poll(&fd, 1, doorbell_.ok() ? -1 : 100);
      doorbell_.Awake((fd.revents & POLLIN) != 0);
    }
  }
}

void Lane::TakeNewChannels() {
  const MutexLock lock(mutex_);
  for (auto& channel : new_channels_) {
    channels_.push_back(std::move(channel));
  }
  new_channels_.clear();
}

}  // namespace bt::ssh
