// A session of several connections: the interactive lane, whose life is the session's, and the pool of bulk lanes. And
// the dialler that makes sessions of this kind, for the link keeper.
//
// Threading: as Session and Dialer.
#pragma once

#include <memory>

#include "transport/lanes/lane_connection.h"
#include "transport/lanes/lane_fs.h"
#include "transport/lanes/lane_pool.h"
#include "transport/session.h"

namespace bt::lanes {

class LaneSession final : public Session {
 public:
  // `dialer` outlives the session and the files opened through it.
  LaneSession(std::shared_ptr<LaneConnection> interactive, LaneDialer& dialer, const LaneOptions& options)
      : interactive_(std::move(interactive)),
        pool_(std::make_shared<LanePool>(interactive_, dialer, options)),
        fs_(interactive_->fs(), pool_) {}
  ~LaneSession() override {
    pool_->Stop(Error{Code::kDisconnected, "the session ended", "lanes.ended", Fate::kUnknown});
  }
  LaneSession(const LaneSession&) = delete;
  LaneSession& operator=(const LaneSession&) = delete;

  RemoteFs& fs() override { return fs_; }
  const std::string& host_key() const override { return interactive_->host_key(); }
  std::optional<Error> ended() const override { return interactive_->ended(); }
  TimePoint last_received() const override { return interactive_->last_received(); }
  unsigned connections() const override { return 1 + pool_->lanes(); }
  std::vector<std::optional<ServerProcess>> unsettled_servers() const override { return pool_->unsettled_servers(); }
  void Abort(const Error& why) override {
    interactive_->Abort(why);
    pool_->Stop(why);
  }

 private:
  const std::shared_ptr<LaneConnection> interactive_;
  const std::shared_ptr<LanePool> pool_;
  LaneFs fs_;
};

class LaneSessionDialer final : public Dialer {
 public:
  // `dialer` outlives the object and its sessions.
  LaneSessionDialer(LaneDialer& dialer, const LaneOptions& options) : dialer_(dialer), options_(options) {}

  Result<std::shared_ptr<Session>> Dial(const OpContext& ctx) override {
    std::shared_ptr<LaneConnection> interactive = TRY(dialer_.DialLane(ctx));
    return std::shared_ptr<Session>(std::make_shared<LaneSession>(std::move(interactive), dialer_, options_));
  }
  std::optional<Duration> retry_after() const override { return dialer_.retry_after(); }

 private:
  LaneDialer& dialer_;
  const LaneOptions options_;
};

}  // namespace bt::lanes
