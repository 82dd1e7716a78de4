// What the pool of lanes needs of a connection, and who makes one.
//
// Threading: any thread.
#pragma once

#include <memory>
#include <optional>

#include "transport/session.h"

namespace bt::lanes {

class LaneConnection : public Session {
 public:
  // One more SFTP channel on this connection, with a server process of its own; blocks. It fails with the connection.
  // Letting go of it ends the whole connection, so it is kept as long as the connection shall live.
  virtual Result<std::shared_ptr<RemoteFs>> OpenChannel(const OpContext& ctx) = 0;
};

class LaneDialer {
 public:
  virtual ~LaneDialer() = default;

  // As Dialer::Dial. Several may run at a time.
  virtual Result<std::shared_ptr<LaneConnection>> DialLane(const OpContext& ctx) = 0;
  virtual std::optional<Duration> retry_after() const { return std::nullopt; }
};

}  // namespace bt::lanes
