// What bt-mount asks of the kernel for its TCP connections. The only place with platform-dependent socket options.
//
// Threading: free functions without state.
#pragma once

#include <signal.h>

#include "transport/base/result.h"

namespace bt {

// For a connection that must notice a dead peer: no Nagle delay, keepalive probes after 5 s of silence (3 probes, 5 s
// apart), and unacknowledged data ends the connection after 15 s. What the platform lacks is left out: these options
// make an end visible earlier, nothing depends on them for correctness.
void TuneForLongLink(int fd);

// Ends a TCP connection at once and throws away what it has not delivered: bytes of a request must not arrive minutes
// later, when the request was long repeated on another connection. Wakes who polls `fd`; does not close it.
void ResetConnection(int fd);

// Also sets close-on-exec.
Status SetNonBlocking(int fd);

// Keeps SIGPIPE away from the calling thread while libraries that write to sockets without MSG_NOSIGNAL run; a SIGPIPE
// raised meanwhile is taken back. Nests. Must be destroyed by the thread that made it.
class SigpipeGuard {
 public:
  SigpipeGuard();
  ~SigpipeGuard();
  SigpipeGuard(const SigpipeGuard&) = delete;
  SigpipeGuard& operator=(const SigpipeGuard&) = delete;

 private:
  bool was_pending_ = false;
  sigset_t before_;
};

}  // namespace bt
