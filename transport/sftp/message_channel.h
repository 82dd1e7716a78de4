// The way SFTP messages travel: an SSH channel with the sftp subsystem, or the pipes of an sftp-server in tests.
//
// Threading: Start, Send and Abort may be called from any thread and never block. The receiver is called from one
// thread at a time (the lane's I/O thread), which it must not block. The destructor returns only after the last call
// to the receiver has returned; it must not be run from within such a call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "transport/base/error.h"

namespace bt::sftp {

class MessageChannel {
 public:
  class Receiver {
   public:
    virtual ~Receiver() = default;
    // Where the next bytes would best be put, if it matters: the OnBytes that follows may be of the beginning of this.
    virtual std::span<std::byte> Room() { return {}; }
    // Bytes in order; message boundaries are the receiver's business.
    virtual void OnBytes(std::span<const std::byte> bytes) = 0;
    // Exactly once, and last. The first `messages_started` messages given to Send() may have reached the server, in
    // whole or in part; the others surely did not.
    virtual void OnClosed(const Error& why, std::uint64_t messages_started) = 0;
  };

  virtual ~MessageChannel() = default;

  // Calls the receiver from now on (also with bytes that came before). Once.
  virtual void Start(Receiver& receiver) = 0;

  // Queues one whole message (length prefix included). After the end it is dropped: OnClosed counts it as not started.
  virtual void Send(std::vector<std::byte> message) = 0;

  // Ends the channel and the lane below it: OnClosed(why) follows unless the end was already told.
  virtual void Abort(Error why) = 0;
};

}  // namespace bt::sftp
