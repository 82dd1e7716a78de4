// A libssh2 session over a StreamBuffer: handshake, login, and what the server told about itself. Never blocks: each
// step says whether it is done, and is to be repeated when bytes have come.
//
// Threading: one thread.
#pragma once

#include <libssh2.h>

#include <memory>
#include <string>

#include "transport/base/result.h"
#include "transport/ssh/host_key.h"
#include "transport/ssh/session_heap.h"
#include "transport/ssh/stream_buffer.h"

namespace bt::ssh {

class Session {
 public:
  // `stream` outlives the session. `fd` is the socket below it: libssh2 wants one, but reads and writes only through
  // the stream.
  static Result<std::unique_ptr<Session>> Create(StreamBuffer& stream, int fd);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Banner, key exchange, service request. True when done.
  Result<bool> Handshake();

  // After the handshake.
  Result<HostKey> ReadHostKey() const;
  std::string server_version() const;  // "SSH-2.0-OpenSSH_9.2p1 Debian-2"

  // Tells the server that we go; the message is in the stream's queue after.
  void SayGoodbye();

  // What the server said when it disconnected; empty when it did not.
  const std::string& farewell() const { return farewell_; }

  // The session `raw` belongs to: for callbacks that libssh2 gives no other cookie.
  static Session& Of(LIBSSH2_SESSION* raw) { return *static_cast<Session*>(*libssh2_session_abstract(raw)); }

  LIBSSH2_SESSION* get() const { return session_; }
  SessionHeap& heap() { return heap_; }
  StreamBuffer& stream() const { return stream_; }

 private:
  // What a session holds without channels: its buffers (85 KiB), and in a login a few packets.
  static constexpr std::size_t kBaseMemory = 16 * 1024 * 1024;

  Session(StreamBuffer& stream, int fd) : stream_(stream), fd_(fd), heap_(kBaseMemory) {}
  friend struct SessionCallbacks;

  StreamBuffer& stream_;
  const int fd_;
  SessionHeap heap_;
  LIBSSH2_SESSION* session_ = nullptr;
  std::string farewell_;
};

}  // namespace bt::ssh
