// The link keeper: holds the connection to the container, notices when it dies, dials again with backoff, and lets
// requests wait for it. Drives LinkState (transport/RECONNECT.md).
//
// Threading: any thread. One thread of its own dials, pings and watches.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "transport/base/sync.h"
#include "transport/link_state.h"
#include "transport/server_process.h"
#include "transport/session.h"

namespace bt {

// Counts what was sent over one connection to change something and has no answer. When the connection is lost, its
// server may still do these things, later than anything that is sent over the next one.
class UnansweredChanges {
 public:
  // Runs `call`, which sends a change over `session`. One without an answer stays counted for good.
  template <typename Call>
  auto Count(const Session& session, Call call) -> decltype(call()) {
    ++count_;
    auto result = call();
    if (result.ok() || result.error().fate == Fate::kNotSent ||
        (result.error().fate == Fate::kAnswered && !session.ended())) {
      --count_;
    }
    return result;
  }
  bool any() const { return count_.load() > 0; }

 private:
  std::atomic<std::size_t> count_{0};
};

// A session with its place in the history of the mount.
struct Connection {
  std::shared_ptr<Session> session;
  std::uint64_t generation = 0;  // counts connections
  std::uint64_t container = 0;   // counts containers: changes with the host key
  std::shared_ptr<UnansweredChanges> changes = std::make_shared<UnansweredChanges>();

  template <typename Call>
  auto Change(Call call) const -> decltype(call()) {
    return changes->Count(*session, std::move(call));
  }
};

// The server said no without a reason (SSH_FX_FAILURE), and the connection ended before it could be asked for one: it
// was surely not done, and asking again finds the reason.
inline bool ReasonWasLost(const Connection& connection, const Error& error) {
  return error.code == Code::kFailure && error.fate == Fate::kAnswered && connection.session->ended().has_value();
}

struct LinkStatus {
  LinkState::Phase phase = LinkState::Phase::kDialing;
  Duration in_phase{};
  std::uint64_t reconnects = 0;
  std::uint64_t containers = 1;
  std::size_t waiting = 0;   // requests that wait for the link; 0 while it is up
  unsigned connections = 0;  // open now; 0 while there is no link
  Duration next_dial{};      // while backing off or refused
  Duration last_heard{};     // since bytes last came in
  std::string last_error;    // why the link went down, or the last dial failed
};

class Link {
 public:
  struct Options {
    LinkState::Timing timing;
    Backoff::Options backoff;
    std::chrono::milliseconds dial_timeout{30'000};
    std::chrono::milliseconds longest_retry_after{120'000};  // a service that asks for more is not obeyed
    SettleOptions settle;
    // With requests under way and not one byte received for so long, what memory knows is answered from memory.
    std::chrono::milliseconds patience{1000};
  };

  // Counts a request as under way while it lives, for status and log.
  class Request {
   public:
    explicit Request(Link& link) : link_(link) {
      if (link_.under_way_.fetch_add(1) == 0) {
        link_.busy_since_.store(Clock::now().time_since_epoch().count());
      }
    }
    ~Request() { --link_.under_way_; }
    Request(const Request&) = delete;
    Request& operator=(const Request&) = delete;

   private:
    Link& link_;
  };

  // Starts with a connection that was just made. `dialer` must outlive the link.
  Link(Dialer& dialer, std::shared_ptr<Session> session, Options options, Backoff::Random random);
  // Aborts the session and joins the thread. Nobody may be waiting any more.
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  // The live connection; waits for one until the context ends (kTimedOut or kInterrupted, kNotSent). Fails at once
  // while the service refuses, with the service's reason: waiting would not help.
  Result<Connection> Acquire(const OpContext& ctx);

  // The caller saw this connection end. Unknown and old generations are ignored.
  void ReportLost(std::uint64_t generation, const Error& why);

  // Ends the session and all waiting: Acquire fails with kDisconnected from now on. For unmounting.
  void Stop();

  LinkStatus status() const;
  // False when an answer cannot be expected soon: not connected, silent and the ping unanswered, or requests are under
  // way and nothing at all was received for a second.
  bool reachable() const;

  // Of the latest connection, also while there is none.
  RemoteCapabilities capabilities() const;

 private:
  // A session that was given up, ended when this goes out of scope: declared before the lock, it is ended and let go
  // without it.
  struct Casualty {
    Casualty() = default;
    ~Casualty() { End(); }
    Casualty(const Casualty&) = delete;
    Casualty& operator=(const Casualty&) = delete;

    void End();

    std::shared_ptr<Session> session;
    Error why;
  };

  void Run(const std::stop_token& stop);
  LinkState::Action NextAction(const std::stop_token& stop);
  void Dial(const std::stop_token& stop);
  void Ping(const std::stop_token& stop);
  // Looks for a suspend, for the end of the session, and for bytes that came in.
  void Observe(Casualty& casualty, TimePoint now) REQUIRES(mutex_);
  void Lose(Casualty& casualty, const Error& why, TimePoint now) REQUIRES(mutex_);
  void Connected(Casualty& casualty, std::shared_ptr<Session> session, TimePoint now) REQUIRES(mutex_);
  // Before a new connection is used: waits until the servers of lost ones, which may still have changes of ours to
  // make, have ended. `own` is the process behind `session` when that was found out on the way.
  void Settle(Session& session, std::optional<ServerProcess>& own, const std::stop_token& stop);
  std::optional<ServerProcess> AskWhoServes(RemoteFs& fs, const std::stop_token& stop) const;
  // Of the latest connection, once.
  void LearnWhoServes(const std::stop_token& stop);
  void Log(LinkState::Phase before, TimePoint now) REQUIRES(mutex_);

  Dialer& dialer_;
  const Options options_;
  std::atomic<std::size_t> under_way_{0};
  std::atomic<Duration::rep> busy_since_{0};  // when the first of those under way began

  mutable Mutex mutex_;
  CondVar changed_;
  LinkState state_ GUARDED_BY(mutex_);
  bool dial_due_ GUARDED_BY(mutex_) = false;  // the state is dialing, and the keeper has not begun to dial
  Connection current_ GUARDED_BY(mutex_);
  std::optional<ServerProcess> server_ GUARDED_BY(mutex_);  // behind current_, when known
  bool server_asked_ GUARDED_BY(mutex_) = false;
  // Lost connections whose servers may still be at work.
  struct Predecessor {
    std::shared_ptr<UnansweredChanges> changes;
    std::optional<ServerProcess> server;
    std::shared_ptr<Session> session;  // let go without the lock
    TimePoint lost_at;
  };
  std::vector<Predecessor> predecessors_ GUARDED_BY(mutex_);
  RemoteCapabilities capabilities_ GUARDED_BY(mutex_);
  std::string host_key_ GUARDED_BY(mutex_);
  Duration suspended_ GUARDED_BY(mutex_){};  // reading of TimeSuspended() at the last look
  std::optional<Error> last_error_ GUARDED_BY(mutex_);
  bool stopped_ GUARDED_BY(mutex_) = false;

  std::jthread thread_;  // last: it uses everything above
};

}  // namespace bt
