// A connection to a training node or model deployment as the link keeper sees it, and the dialler that makes them.
#pragma once

#include "transport/node_dialer.h"
#include "transport/session.h"

namespace bt {

class NodeSession final : public Session {
 public:
  explicit NodeSession(DialedNode node) : node_(std::move(node)) {}

  RemoteFs& fs() override { return *node_.fs; }
  const std::string& host_key() const override { return node_.host_key.fingerprint; }
  bool alive() const override { return !node_.connection->ended(); }
  TimePoint last_received() const override { return node_.connection->statistics().last_received; }
  void Abort(const Error& why) override { node_.connection->Abort(why); }

 private:
  const DialedNode node_;
};

class NodeSessionDialer final : public Dialer {
 public:
  // `dialer` must outlive the object.
  explicit NodeSessionDialer(NodeDialer& dialer) : dialer_(dialer) {}

  Result<std::shared_ptr<Session>> Dial(const OpContext& ctx) override {
    return std::shared_ptr<Session>(std::make_shared<NodeSession>(TRY(dialer_.Dial(ctx))));
  }

 private:
  NodeDialer& dialer_;
};

}  // namespace bt
