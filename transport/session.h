// One connection to one container: what a dial yields and what the link keeper watches. And the dialler itself.
//
// Threading: any thread, except that destruction is single-threaded as always.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "transport/base/op_context.h"
#include "transport/remote_fs.h"
#include "transport/server_process.h"

namespace bt {

class Session {
 public:
  virtual ~Session() = default;

  virtual RemoteFs& fs() = 0;

  // Identity of the container's sshd. Another one after a reconnect means another container.
  virtual const std::string& host_key() const = 0;

  // Why the connection ended; nothing while it lives. Never lives again.
  virtual std::optional<Error> ended() const = 0;

  // When bytes last came in. Any byte proves life.
  virtual TimePoint last_received() const = 0;

  // How many connections the session has open now.
  virtual unsigned connections() const { return 1; }

  // After Abort(): the processes behind further connections that may still have writes of ours to execute, one element
  // each; without a value where it is not known which process that is. The one behind fs() is not among them.
  virtual std::vector<std::optional<ServerProcess>> unsettled_servers() const { return {}; }

  // Ends the connection now, and what was not sent yet never will be; whoever waits on it gets `why`. Does not block.
  virtual void Abort(const Error& why) = 0;
};

class Dialer {
 public:
  virtual ~Dialer() = default;

  // Blocks until connected, refused, or the context ends. The code of the error tells whether another try is worth it:
  // kRefused, kNotRunning and kConfig will be the same next time.
  virtual Result<std::shared_ptr<Session>> Dial(const OpContext& ctx) = 0;

  // What the service asked for when it turned the last Dial() down: the next one shall not come earlier.
  virtual std::optional<Duration> retry_after() const { return std::nullopt; }
};

}  // namespace bt
