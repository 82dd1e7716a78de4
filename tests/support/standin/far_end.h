// What stands at the server's side of one connection over the emulated link.
//
// Threading: the link loop's thread.
#pragma once

#include "tests/support/standin/delay_line.h"

namespace bt::standin {

// Edge-triggered readiness of a socket, kept by the loop and cleared by whoever meets EAGAIN.
struct Ready {
  bool read = false;
  bool write = false;
  bool hang_up = false;  // there is an end behind what can still be read
};

class FarEnd {
 public:
  virtual ~FarEnd() = default;

  // The client's connection has arrived. False when there is nobody here: the client is cut off.
  virtual bool Open() = 0;

  // Moves bytes from `up` to the server and from the server to `down`, as far as possible without waiting. True when
  // anything moved.
  virtual bool Pump(DelayLine& up, DelayLine& down, TimePoint now) = 0;

  // The server reset its side, or refused: the client's connection must end at once.
  virtual bool broken() const = 0;

  // The socket to the server, -1 while there is none. It never changes once there is one.
  virtual int fd() const = 0;

  // Ends the server's side as a broken link would.
  virtual void Reset() = 0;

  Ready ready;
};

}  // namespace bt::standin
