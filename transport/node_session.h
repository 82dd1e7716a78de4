// A connection to a training node or model deployment as the link keeper sees it, and the dialler that makes them.
#pragma once

#include "transport/lanes/lane_connection.h"
#include "transport/node_dialer.h"
#include "transport/session.h"

namespace bt {

class NodeSession final : public lanes::LaneConnection {
 public:
  explicit NodeSession(DialedNode node) : node_(std::move(node)) {}

  RemoteFs& fs() override { return *node_.fs; }
  const std::string& host_key() const override { return node_.host_key.fingerprint; }
  std::optional<Error> ended() const override { return node_.connection->ended(); }
  TimePoint last_received() const override { return node_.connection->statistics().last_received; }
  void Abort(const Error& why) override { node_.connection->Abort(why); }
  Result<std::shared_ptr<RemoteFs>> OpenChannel(const OpContext& ctx) override {
    auto channel = TRY(node_.connection->OpenSftp(ctx));
    return std::shared_ptr<RemoteFs>(TRY(sftp::SftpFs::Open(ctx, std::move(channel))));
  }

 private:
  const DialedNode node_;
};

class NodeSessionDialer final : public Dialer, public lanes::LaneDialer {
 public:
  // `dialer` must outlive the object.
  explicit NodeSessionDialer(NodeDialer& dialer) : dialer_(dialer) {}

  Result<std::shared_ptr<Session>> Dial(const OpContext& ctx) override {
    return std::shared_ptr<Session>(TRY(DialLane(ctx)));
  }
  Result<std::shared_ptr<lanes::LaneConnection>> DialLane(const OpContext& ctx) override {
    auto node = dialer_.Dial(ctx);
    if (!node) {
      Error error = std::move(node).error();
      // A token or certificate that was just issued and is refused, or a TLS certificate that does not verify (a
      // sign-in page of some hotel), says nothing about the next try. Only the API's own word is final.
      if (error.code == Code::kRefused && !error.tag.starts_with("access.key-") &&
          !error.tag.starts_with("access.node-") && error.tag != "access.api-refused" &&
          error.tag != "access.not-found") {
        error.code = Code::kUnavailable;
      }
      return error;
    }
    return std::shared_ptr<lanes::LaneConnection>(std::make_shared<NodeSession>(std::move(node).value()));
  }
  std::optional<Duration> retry_after() const override { return dialer_.retry_after(); }

 private:
  NodeDialer& dialer_;
};

}  // namespace bt
