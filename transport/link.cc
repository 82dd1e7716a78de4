#include "transport/link.h"

#include <algorithm>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "transport/base/sleep_clock.h"
#include "transport/base/thread_name.h"
#include "transport/base/units.h"

namespace bt {
namespace {

using Phase = LinkState::Phase;
using Action = LinkState::Action;

// How often the keeper looks for a session that ended while nobody used it, and for a suspend.
constexpr auto kGlance = std::chrono::seconds(1);

std::chrono::milliseconds Milliseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration);
}

Error StoppedError() { return Error{Code::kDisconnected, "the mount is ending", "link.stopped", Fate::kNotSent}; }

bool WillBeTheSameNextTime(Code code) {
  return code == Code::kRefused || code == Code::kNotRunning || code == Code::kConfig;
}

}  // namespace

Link::Link(Dialer& dialer, std::shared_ptr<Session> session, Options options, Backoff::Random random)
    : dialer_(dialer), options_(options), state_(options.timing, Backoff(options.backoff, std::move(random))) {
  const TimePoint now = Clock::now();
  {
    MutexLock lock(mutex_);
    suspended_ = TimeSuspended();
    state_.StartConnected(now);
    host_key_ = session->host_key();
    capabilities_ = session->fs().capabilities();
    current_.session = std::move(session);
    current_.generation = 1;
    current_.container = 1;
  }
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

Link::~Link() { Stop(); }

void Link::Casualty::End() {
  if (const std::shared_ptr<Session> ending = std::exchange(session, nullptr)) {
    ending->Abort(why);
  }
}

Result<Connection> Link::Acquire(const OpContext& ctx) {
  Casualty casualty;
  MutexLock lock(mutex_);
  for (;;) {
    if (stopped_) {
      return StoppedError();
    }
    if (current_.session != nullptr) {
      const std::optional<Error> ended = current_.session->ended();
      if (!ended) {
        return current_;
      }
      Lose(casualty, *ended, Clock::now());
      lock.Unlock();
      casualty.End();
      lock.Lock();
      continue;
    }
    if (state_.phase() == Phase::kRefused && last_error_) {
      Error refusal = *last_error_;
      refusal.fate = Fate::kNotSent;
      return refusal;
    }
    if (Status status = ctx.Check(Fate::kNotSent); !status) {
      Error error = std::move(status).error();
      if (error.code == Code::kTimedOut) {
        error.text = fmt::format("the link is {} and did not come back within the timeout{}", PhaseName(state_.phase()),
                                 last_error_ ? ": " + last_error_->text : "");
        error.tag = "link.timeout";
      }
      return error;
    }
    const Phase before = state_.phase();
    const TimePoint due = state_.next_wakeup();
    const bool dial = state_.OnDemand(Clock::now()) == Action::kDial;
    if (dial) {
      dial_due_ = true;
      Log(before, Clock::now());
    }
    // Only what is news to the keeper: two who wait would else wake each other for ever.
    if (dial || state_.next_wakeup() != due) {
      changed_.NotifyAll();
    }
    changed_.Wait(mutex_, ctx);
  }
}

void Link::ReportLost(std::uint64_t generation, const Error& why) {
  Casualty casualty;
  MutexLock lock(mutex_);
  if (generation == current_.generation && current_.session != nullptr) {
    Lose(casualty, why, Clock::now());
  }
}

void Link::Stop() {
  Casualty casualty;
  {
    MutexLock lock(mutex_);
    if (stopped_) {
      return;
    }
    stopped_ = true;
    state_.OnStop(Clock::now());
    casualty.session = std::exchange(current_.session, nullptr);
    casualty.why = StoppedError();
    changed_.NotifyAll();
  }
  thread_.request_stop();
}

LinkStatus Link::status() const {
  const TimePoint now = Clock::now();
  MutexLock lock(mutex_);
  LinkStatus status;
  status.phase = state_.phase();
  status.in_phase = now - state_.since();
  status.reconnects = current_.generation - 1;
  status.containers = current_.container;
  status.waiting = state_.phase() == Phase::kUp ? 0 : under_way_.load();
  if (state_.phase() == Phase::kBackingOff || state_.phase() == Phase::kRefused) {
    status.next_dial = std::max(Duration::zero(), state_.next_wakeup() - now);
  }
  if (current_.session) {
    status.last_heard = now - current_.session->last_received();
    status.connections = current_.session->connections();
  }
  status.last_error = last_error_ ? last_error_->text : "";
  return status;
}

bool Link::reachable() const {
  const TimePoint now = Clock::now();
  MutexLock lock(mutex_);
  if (current_.session != nullptr && under_way_.load() > 0) {
    const TimePoint busy_since{Duration(busy_since_.load())};
    if (now - std::max(busy_since, current_.session->last_received()) > options_.patience) {
      return false;
    }
  }
  return state_.phase() == Phase::kUp || (state_.phase() == Phase::kSuspect && now - state_.since() < kGlance);
}

RemoteCapabilities Link::capabilities() const {
  MutexLock lock(mutex_);
  return capabilities_;
}

void Link::Run(const std::stop_token& stop) {
  SetThreadName("bt-link");
  while (!stop.stop_requested()) {
    LearnWhoServes(stop);
    switch (NextAction(stop)) {
      case Action::kNone:
      case Action::kDrop:  // Lose() did it
        break;
      case Action::kDial:
        Dial(stop);
        break;
      case Action::kPing:
        Ping(stop);
        break;
    }
  }
}

Action Link::NextAction(const std::stop_token& stop) {
  Casualty casualty;
  MutexLock lock(mutex_);
  const TimePoint now = Clock::now();
  Observe(casualty, now);
  if (std::exchange(dial_due_, false)) {
    return Action::kDial;
  }
  const Phase before = state_.phase();
  const Action action = state_.OnTick(now);
  if (action == Action::kDrop) {
    Lose(casualty, Error{Code::kDisconnected, "the server has been silent for too long", "link.silent"}, now);
  }
  Log(before, now);
  if (action == Action::kNone) {
    changed_.Wait(mutex_, OpContext{std::min(state_.next_wakeup(), now + kGlance), stop});
  }
  return action;
}

void Link::Observe(Casualty& casualty, TimePoint now) {
  const Phase before = state_.phase();
  const Duration suspended = TimeSuspended();
  // The two clocks are not read at the same instant; a real suspend is longer than that.
  if (suspended - std::exchange(suspended_, suspended) > std::chrono::milliseconds(500)) {
    const Error why{Code::kDisconnected, "the machine was suspended", "link.suspend"};
    const Action action = state_.OnResumed(now);
    dial_due_ = dial_due_ || action == Action::kDial;
    if (action == Action::kDrop) {
      Lose(casualty, why, now);
    }
    Log(before, now);
  }
  if (current_.session == nullptr) {
    return;
  }
  if (const std::optional<Error> ended = current_.session->ended()) {
    Lose(casualty, *ended, now);
  } else {
    const Phase quiet = state_.phase();
    state_.OnReceived(current_.session->last_received());
    Log(quiet, now);
  }
}

void Link::Lose(Casualty& casualty, const Error& why, TimePoint now) {
  const Phase before = state_.phase();
  last_error_ = why;
  state_.OnLost(now);
  Log(before, now);
  casualty.session = std::exchange(current_.session, nullptr);
  casualty.why = why;
  if (casualty.session != nullptr) {
    predecessors_.push_back({current_.changes, std::exchange(server_, std::nullopt), casualty.session, now});
  }
  changed_.NotifyAll();
}

void Link::Dial(const std::stop_token& stop) {
  auto session = dialer_.Dial(OpContext::WithTimeout(options_.dial_timeout, stop));
  std::optional<ServerProcess> server;
  if (session) {
    Settle(**session, server, stop);
  }
  Casualty casualty;
  MutexLock lock(mutex_);
  const TimePoint now = Clock::now();
  const Phase before = state_.phase();
  if (session) {
    Connected(casualty, std::move(session).value(), now);
    server_asked_ = server.has_value();
    server_ = std::move(server);
  } else if (before != Phase::kStopped) {
    last_error_ = session.error();
    std::optional<Duration> patience = dialer_.retry_after();
    if (patience) {
      patience = std::min<Duration>(*patience, options_.longest_retry_after);
    }
    state_.OnDialFailed(WillBeTheSameNextTime(last_error_->code) ? LinkState::DialFailure::kRefused
                                                                 : LinkState::DialFailure::kTransient,
                        patience, now);
  }
  Log(before, now);
  changed_.NotifyAll();
}

void Link::Connected(Casualty& casualty, std::shared_ptr<Session> session, TimePoint now) {
  if (state_.OnDialed(now) == Action::kDrop) {
    casualty.session = std::move(session);
    casualty.why = StoppedError();
    return;
  }
  if (session->host_key() != host_key_) {
    ++current_.container;
    spdlog::warn(
        "link: another container answers under this name (its SSH host key changed from {} to {}); files that were "
        "open are stale and nothing unwritten is sent to it",
        host_key_, session->host_key());
    host_key_ = session->host_key();
  }
  ++current_.generation;
  capabilities_ = session->fs().capabilities();
  current_.session = std::move(session);
  current_.changes = std::make_shared<UnansweredChanges>();
}

void Link::Ping(const std::stop_token& stop) {
  Connection connection;
  {
    MutexLock lock(mutex_);
    connection = current_;
  }
  if (connection.session == nullptr) {
    return;
  }
  // The answer is of no interest: its bytes count in last_received(), also when nobody waits for them any more. So the
  // keeper does not wait long, and goes on looking for a suspend.
  const auto answer = connection.session->fs().Lstat(OpContext::WithTimeout(kGlance, stop), RemotePath());
  if (!answer && (answer.error().code == Code::kDisconnected || answer.error().code == Code::kProtocol)) {
    ReportLost(connection.generation, answer.error());  // the SFTP server may end while its connection lives
  }
}

void Link::Log(Phase before, TimePoint now) {
  const Phase after = state_.phase();
  if (before == after) {
    return;
  }
  const std::string reason = last_error_ && after != Phase::kUp ? fmt::format(" ({})", last_error_->text) : "";
  const std::size_t under_way = after == Phase::kUp ? 0 : under_way_.load();
  const std::string waiting =
      under_way > 0 ? fmt::format(", {} {} waiting", under_way, under_way == 1 ? "request" : "requests") : "";
  switch (after) {
    case Phase::kBackingOff:
    case Phase::kRefused:
      // A request cuts the first short, and not the second.
      spdlog::warn("link: {} -> {} {}{}{}{}", PhaseName(before), PhaseName(after),
                   after == Phase::kBackingOff ? "at most " : "",
                   FormatDuration(Milliseconds(state_.next_wakeup() - now)), reason, waiting);
      break;
    case Phase::kUp:
      spdlog::log(before == Phase::kSuspect ? spdlog::level::debug : spdlog::level::info, "link: {} -> up",
                  PhaseName(before));
      break;
    case Phase::kDialing:
    case Phase::kSuspect:  // an idle link is pinged all day
    case Phase::kStopped:
      spdlog::log(after == Phase::kSuspect ? spdlog::level::debug : spdlog::level::info, "link: {} -> {}{}{}",
                  PhaseName(before), PhaseName(after), reason, waiting);
      break;
  }
}

}  // namespace bt
