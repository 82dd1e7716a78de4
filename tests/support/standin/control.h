// Commands to a running stand-in, one JSON object a line, answered by one JSON object a line: for scripts.
// CONTROL.md lists them.
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <string>
#include <thread>

#include "tests/support/standin/standin.h"
#include "transport/base/sync.h"
#include "transport/base/unique_fd.h"

namespace bt::standin {

// The line printed when the stand-in is ready: coordinates and environment.
std::string Coordinates(Standin& standin, const std::string& control_socket);

// Carries out one command. Never throws; {"ok": false, "error": "..."} when it makes no sense.
std::string Execute(Standin& standin, const std::string& line);

// Whether the line asks the stand-in to end.
bool IsQuit(const std::string& line);

// Takes commands from a unix socket, each connection on a thread of its own.
//
// Threading: construct and destroy on one thread. `on_quit` is called on another.
class ControlSocket {
 public:
  static Result<std::unique_ptr<ControlSocket>> Open(Standin& standin, const std::string& path,
                                                     std::function<void()> on_quit);
  ControlSocket(Standin& standin, UniqueFd listener, std::function<void()> on_quit);
  ~ControlSocket();
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;

 private:
  void AcceptLoop(const std::stop_token& stop);
  void Serve(int fd);

  Standin& standin_;
  const UniqueFd listener_;
  const std::function<void()> on_quit_;
  Mutex mutex_;
  std::list<UniqueFd> clients_ GUARDED_BY(mutex_);
  std::list<std::jthread> sessions_;  // the accepting thread's, then the destructor's
  std::jthread accepting_;
};

}  // namespace bt::standin
