#include "fs/app/signal_watch.h"

#include <pthread.h>
#include <signal.h>

#include "transport/base/thread_name.h"

namespace bt::app {
namespace {

sigset_t WatchedSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    sigaddset(&signals, signal);
  }
  return signals;
}

}  // namespace

SignalWatch::SignalWatch(std::function<void(int)> on_signal) : on_signal_(std::move(on_signal)) {
  const sigset_t signals = WatchedSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  thread_ = std::jthread([this, signals](const std::stop_token& stop) {
    SetThreadName("bt-signals");
    int signal = 0;
    while (sigwait(&signals, &signal) == 0 && !stop.stop_requested()) {
      on_signal_(signal);
    }
  });
}

SignalWatch::~SignalWatch() {
  thread_.request_stop();
  // NOLINTNEXTLINE(bugprone-bad-signal-to-kill-thread): it is blocked, and taken by sigwait
  pthread_kill(thread_.native_handle(), SIGTERM);  // ends sigwait; the signal is pending for that thread alone
}

}  // namespace bt::app
