// A non-blocking stream of bytes to the proxy: plain TCP or TLS. What SSH runs on.
//
// Threading: one thread at a time, except Abort(), which any thread may call at any moment of the object's life.
#pragma once

#include <cstddef>
#include <span>

#include "transport/base/result.h"

namespace bt {

class ByteStream {
 public:
  virtual ~ByteStream() = default;

  // Bytes read or written; 0 means "not now": wait for poll_events() on fd(), unless HasPending(). An ended stream is
  // an error (kDisconnected), never 0.
  virtual Result<std::size_t> Read(std::span<std::byte> out) = 0;
  virtual Result<std::size_t> Write(std::span<const std::byte> bytes) = 0;

  // True when Read() would yield bytes that the kernel no longer holds (TLS records already decrypted): do not sleep.
  virtual bool HasPending() const = 0;

  virtual int fd() const = 0;
  // What to poll fd() for. `want_write`: there are bytes waiting to be written. TLS may want the other direction.
  virtual short poll_events(bool want_write) const = 0;

  // Ends the stream from another thread: both directions, at once, without waiting for the peer.
  virtual void Abort() = 0;
};

}  // namespace bt
