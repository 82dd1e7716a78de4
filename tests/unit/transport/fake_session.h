// Sessions over one FakeRemoteFs, which is the server that outlives them, and a dialler that makes them by script.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/fake_remote_fs/fake_remote_fs.h"
#include "transport/base/sync.h"
#include "transport/link.h"
#include "transport/session.h"

namespace bt {

inline const Error kCut{Code::kDisconnected, "connection reset", "fake.cut", Fate::kUnknown};

class FakeSession final : public Session {
 public:
  FakeSession(RemoteFs& fs, std::string host_key) : fs_(fs), host_key_(std::move(host_key)) {}

  RemoteFs& fs() override { return fs_; }
  const std::string& host_key() const override { return host_key_; }
  std::optional<Error> ended() const override {
    MutexLock lock(mutex_);
    return ended_;
  }
  TimePoint last_received() const override { return TimePoint(Duration(last_received_.load())); }
  void Abort(const Error& why) override {
    MutexLock lock(mutex_);
    ++aborts_;
    ended_ = ended_ ? ended_ : why;
  }
  std::vector<std::optional<ServerProcess>> unsettled_servers() const override {
    MutexLock lock(mutex_);
    return ended_ ? unsettled_ : std::vector<std::optional<ServerProcess>>();
  }
  void SetUnsettled(std::vector<std::optional<ServerProcess>> servers) {
    MutexLock lock(mutex_);
    unsettled_ = std::move(servers);
  }
  int aborts() const {
    MutexLock lock(mutex_);
    return aborts_;
  }
  void Hear() { last_received_ = Clock::now().time_since_epoch().count(); }

 private:
  RemoteFs& fs_;
  const std::string host_key_;
  std::atomic<Duration::rep> last_received_{Clock::now().time_since_epoch().count()};
  mutable Mutex mutex_;
  std::optional<Error> ended_ GUARDED_BY(mutex_);
  std::vector<std::optional<ServerProcess>> unsettled_ GUARDED_BY(mutex_);
  int aborts_ GUARDED_BY(mutex_) = 0;
};

// Connects at once, unless a failure is next or it is held.
class FakeDialer final : public Dialer {
 public:
  explicit FakeDialer(RemoteFs& fs) : fs_(fs) {}

  Result<std::shared_ptr<Session>> Dial(const OpContext& ctx) override {
    MutexLock lock(mutex_);
    ++dials_;
    changed_.NotifyAll();
    while (held_) {
      TRY(ctx.Check());
      changed_.Wait(mutex_, ctx);
    }
    if (!failures_.empty()) {
      Error error = failures_.front();
      failures_.pop_front();
      return error;
    }
    if (lasting_) {
      return *lasting_;
    }
    return std::shared_ptr<Session>(Make());
  }
  std::optional<Duration> retry_after() const override {
    MutexLock lock(mutex_);
    return retry_after_;
  }

  std::shared_ptr<FakeSession> Connect() {
    MutexLock lock(mutex_);
    return Make();
  }
  void FailNext(Error error) {
    MutexLock lock(mutex_);
    failures_.push_back(std::move(error));
  }
  void FailAlways(std::optional<Error> error) {
    MutexLock lock(mutex_);
    lasting_ = std::move(error);
  }
  void AskForPatience(Duration patience) {
    MutexLock lock(mutex_);
    retry_after_ = patience;
  }
  void Hold(bool held) {
    MutexLock lock(mutex_);
    held_ = held;
    changed_.NotifyAll();
  }
  void SetHostKey(std::string key) {
    MutexLock lock(mutex_);
    host_key_ = std::move(key);
  }
  std::shared_ptr<FakeSession> latest() const {
    MutexLock lock(mutex_);
    return latest_;
  }
  int dials() const {
    MutexLock lock(mutex_);
    return dials_;
  }
  bool WaitForDials(int count) const {
    const OpContext ctx = OpContext::WithTimeout(std::chrono::seconds(30));
    MutexLock lock(mutex_);
    while (dials_ < count && ctx.Check().ok()) {
      changed_.Wait(mutex_, ctx);
    }
    return dials_ >= count;
  }

 private:
  std::shared_ptr<FakeSession> Make() REQUIRES(mutex_) {
    return latest_ = std::make_shared<FakeSession>(fs_, host_key_);
  }

  RemoteFs& fs_;
  mutable Mutex mutex_;
  mutable CondVar changed_;
  std::deque<Error> failures_ GUARDED_BY(mutex_);
  std::optional<Error> lasting_ GUARDED_BY(mutex_);
  std::optional<Duration> retry_after_ GUARDED_BY(mutex_);
  bool held_ GUARDED_BY(mutex_) = false;
  int dials_ GUARDED_BY(mutex_) = 0;
  std::string host_key_ GUARDED_BY(mutex_) = "SHA256:one";
  std::shared_ptr<FakeSession> latest_ GUARDED_BY(mutex_);
};

// Dials again within milliseconds, so that tests do not wait.
inline Link::Options Quick() {
  Link::Options options;
  options.timing.demand_gap = std::chrono::milliseconds(1);
  options.backoff.first = std::chrono::milliseconds(1);
  options.backoff.cap = std::chrono::milliseconds(4);
  options.settle = {.look_at_processes = false, .asleep = std::chrono::milliseconds(1)};
  return options;
}

inline OpContext Soon() { return OpContext::WithTimeout(std::chrono::seconds(20)); }

}  // namespace bt
