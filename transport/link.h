// The link keeper: holds the connection to the container, notices when it dies, dials again with backoff, and lets
// requests wait for it. Drives LinkState (transport/RECONNECT.md).
//
// Threading: any thread. One thread of its own dials, pings and watches.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "transport/base/sync.h"
#include "transport/link_state.h"
#include "transport/session.h"

namespace bt {

// A session with its place in the history of the mount.
struct Connection {
  std::shared_ptr<Session> session;
  std::uint64_t generation = 0;  // counts connections
  std::uint64_t container = 0;   // counts containers: changes with the host key
};

struct LinkStatus {
  LinkState::Phase phase = LinkState::Phase::kDialing;
  Duration in_phase{};
  std::uint64_t reconnects = 0;
  std::uint64_t containers = 1;
  std::size_t waiting = 0;  // requests that wait for the link
  Duration next_dial{};     // while backing off or refused
  Duration last_heard{};    // since bytes last came in
  std::string last_error;   // why the link went down, or the last dial failed
};

class Link {
 public:
  struct Options {
    LinkState::Timing timing;
    Backoff::Options backoff;
    std::chrono::milliseconds dial_timeout{30'000};
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

  // Of the latest connection, also while there is none.
  RemoteCapabilities capabilities() const;

 private:
  void Run(const std::stop_token& stop);
  LinkState::Action NextAction(const std::stop_token& stop);
  void Dial(const std::stop_token& stop);
  void Ping(const std::stop_token& stop);
  void Observe(TimePoint now) REQUIRES(mutex_);
  void Lose(const Error& why, TimePoint now) REQUIRES(mutex_);
  void Connected(std::shared_ptr<Session> session, TimePoint now) REQUIRES(mutex_);
  void Log(LinkState::Phase before, TimePoint now) REQUIRES(mutex_);

  Dialer& dialer_;
  const Options options_;

  mutable Mutex mutex_;
  CondVar changed_;
  LinkState state_ GUARDED_BY(mutex_);
  LinkState::Action pending_ GUARDED_BY(mutex_) = LinkState::Action::kNone;
  Connection current_ GUARDED_BY(mutex_);
  RemoteCapabilities capabilities_ GUARDED_BY(mutex_);
  std::string host_key_ GUARDED_BY(mutex_);
  Duration suspended_ GUARDED_BY(mutex_){};  // reading of TimeSuspended() at the last look
  std::optional<Error> last_error_ GUARDED_BY(mutex_);
  std::size_t waiting_ GUARDED_BY(mutex_) = 0;
  bool stopped_ GUARDED_BY(mutex_) = false;

  std::jthread thread_;  // last: it uses everything above
};

}  // namespace bt
