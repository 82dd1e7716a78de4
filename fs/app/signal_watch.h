// Turns SIGINT, SIGTERM and SIGHUP into a call on a thread of ours, where everything is allowed.
//
// Construct it before any other thread is started: the signals are blocked in the constructor's thread and inherited as
// blocked by all later ones.
#pragma once

#include <functional>
#include <thread>

namespace bt::app {

class SignalWatch {
 public:
  explicit SignalWatch(std::function<void(int signal)> on_signal);
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

 private:
  std::function<void(int)> on_signal_;
  std::jthread thread_;
};

}  // namespace bt::app
