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
    current_ = Connection{std::move(session), 1, 1};
  }
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

Link::~Link() { Stop(); }

Result<Connection> Link::Acquire(const OpContext& ctx) {
  MutexLock lock(mutex_);
  for (;;) {
    if (stopped_) {
      return Error{Code::kDisconnected, "the mount is ending", "link.stopped", Fate::kNotSent};
    }
    if (current_.session != nullptr && current_.session->alive()) {
      return current_;
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
    if (current_.session != nullptr) {
      Lose(Error{Code::kDisconnected, "the connection ended", "link.lost"}, Clock::now());
    }
    pending_ = std::max(pending_, state_.OnDemand(Clock::now()));
    changed_.NotifyAll();
    ++waiting_;
    changed_.Wait(mutex_, ctx);
    --waiting_;
  }
}

void Link::ReportLost(std::uint64_t generation, const Error& why) {
  MutexLock lock(mutex_);
  if (generation == current_.generation && current_.session != nullptr) {
    Lose(why, Clock::now());
  }
}

void Link::Stop() {
  std::shared_ptr<Session> session;
  {
    MutexLock lock(mutex_);
    if (stopped_) {
      return;
    }
    stopped_ = true;
    state_.OnStop(Clock::now());
    session = std::exchange(current_.session, nullptr);
    changed_.NotifyAll();
  }
  thread_.request_stop();
  if (session) {
    session->Abort(Error{Code::kDisconnected, "the mount is ending", "link.stopped"});
  }
}

LinkStatus Link::status() const {
  const TimePoint now = Clock::now();
  MutexLock lock(mutex_);
  LinkStatus status;
  status.phase = state_.phase();
  status.in_phase = now - state_.since();
  status.reconnects = current_.generation - 1;
  status.containers = current_.container;
  status.waiting = waiting_;
  if (state_.phase() == Phase::kBackingOff || state_.phase() == Phase::kRefused) {
    status.next_dial = std::max(Duration::zero(), state_.next_wakeup() - now);
  }
  if (current_.session) {
    status.last_heard = now - current_.session->last_received();
  }
  status.last_error = last_error_ ? last_error_->text : "";
  return status;
}

RemoteCapabilities Link::capabilities() const {
  MutexLock lock(mutex_);
  return capabilities_;
}

void Link::Run(const std::stop_token& stop) {
  SetThreadName("bt-link");
  while (!stop.stop_requested()) {
    switch (NextAction(stop)) {
      case Action::kNone:
      case Action::kDrop:  // done under way, by Lose()
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
  MutexLock lock(mutex_);
  const TimePoint now = Clock::now();
  Observe(now);
  const Phase before = state_.phase();
  const Action action = std::max(std::exchange(pending_, Action::kNone), state_.OnTick(now));
  if (action == Action::kDrop) {
    last_error_ = Error{Code::kDisconnected, "the server has been silent for too long", "link.silent"};
    Lose(*last_error_, now);
    Log(before, now);
  } else if (action == Action::kNone) {
    changed_.Wait(mutex_, OpContext{std::min(state_.next_wakeup(), now + kGlance), stop});
  }
  return action;
}

void Link::Observe(TimePoint now) {
  const Duration suspended = TimeSuspended();
  // The two clocks are not read at the same instant; a real suspend is longer than that.
  if (suspended - suspended_ > std::chrono::milliseconds(500)) {
    const Phase before = state_.phase();
    last_error_ = Error{Code::kDisconnected, "the machine was suspended", "link.suspend"};
    pending_ = std::max(pending_, state_.OnResumed(now));
    if (pending_ == Action::kDrop) {
      pending_ = Action::kNone;
      Lose(*last_error_, now);
    }
    Log(before, now);
  }
  suspended_ = suspended;
  if (current_.session == nullptr) {
    return;
  }
  if (!current_.session->alive()) {
    Lose(Error{Code::kDisconnected, "the connection ended", "link.lost"}, now);
  } else {
    const Phase before = state_.phase();
    state_.OnReceived(current_.session->last_received());
    Log(before, now);
  }
}

void Link::Lose(const Error& why, TimePoint now) {
  const std::shared_ptr<Session> session = std::exchange(current_.session, nullptr);
  const Phase before = state_.phase();
  last_error_ = why;
  state_.OnLost(now);
  Log(before, now);
  if (session) {
    session->Abort(why);  // only rings the lane's bell
  }
  changed_.NotifyAll();
}

void Link::Dial(const std::stop_token& stop) {
  auto session = dialer_.Dial(OpContext::WithTimeout(options_.dial_timeout, stop));
  const TimePoint now = Clock::now();
  MutexLock lock(mutex_);
  const Phase before = state_.phase();
  if (session) {
    Connected(std::move(session).value(), now);
  } else {
    const Error& error = session.error();
    state_.OnDialFailed(
        WillBeTheSameNextTime(error.code) ? LinkState::DialFailure::kRefused : LinkState::DialFailure::kTransient,
        std::nullopt, now);
    last_error_ = error;
  }
  Log(before, now);
  changed_.NotifyAll();
}

void Link::Connected(std::shared_ptr<Session> session, TimePoint now) {
  if (state_.OnDialed(now) == Action::kDrop) {
    session->Abort(Error{Code::kDisconnected, "the mount is ending", "link.stopped"});
    return;
  }
  if (session->host_key() != host_key_) {
    ++current_.container;
    spdlog::warn(
        "link: another container answers under this name (its SSH host key changed from {} to {}); files that were "
        "open "
        "are stale and nothing unwritten is sent to it",
        host_key_, session->host_key());
    host_key_ = session->host_key();
  }
  ++current_.generation;
  capabilities_ = session->fs().capabilities();
  current_.session = std::move(session);
}

void Link::Ping(const std::stop_token& stop) {
  std::shared_ptr<Session> session;
  {
    MutexLock lock(mutex_);
    session = current_.session;
  }
  if (session) {
    // The answer is of no interest; its bytes count in last_received(). A session that dies ends the wait.
    (void)session->fs().Lstat(OpContext::WithTimeout(options_.timing.dead_after - options_.timing.ping_after, stop),
                              RemotePath());
  }
}

void Link::Log(Phase before, TimePoint now) {
  const Phase after = state_.phase();
  if (before == after) {
    return;
  }
  const std::string reason = last_error_ && after != Phase::kUp ? fmt::format(" ({})", last_error_->text) : "";
  const std::string waiting = waiting_ > 0 ? fmt::format(", {} requests waiting", waiting_) : "";
  switch (after) {
    case Phase::kBackingOff:
    case Phase::kRefused:
      spdlog::warn("link: {} -> {} {}{}{}", PhaseName(before), PhaseName(after),
                   FormatDuration(Milliseconds(state_.next_wakeup() - now)), reason, waiting);
      break;
    case Phase::kUp:
      spdlog::info("link: {} -> up{}", PhaseName(before), waiting);
      break;
    case Phase::kDialing:
    case Phase::kSuspect:
    case Phase::kStopped:
      spdlog::info("link: {} -> {}{}{}", PhaseName(before), PhaseName(after), reason, waiting);
      break;
  }
}

}  // namespace bt
