// How a mount process tells the person who started it what happens, until it is mounted or has failed.
//
// In the foreground that is the terminal. In the background the process forks first: the child mounts and serves, the
// parent relays the child's words and leaves with 0 only after Mounted().
//
// Threading: one thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "transport/base/result.h"
#include "transport/base/unique_fd.h"

namespace bt::app {

class Reporter {
 public:
  virtual ~Reporter() = default;
  virtual void Progress(std::string_view text) = 0;
  // Ends the reporting; afterwards a background process is detached from the terminal.
  virtual void Mounted(std::string_view text) = 0;
  virtual void Failed(std::string_view text) = 0;
};

std::unique_ptr<Reporter> MakeTerminalReporter();

// Forks; call it before any thread is started. In the child: the reporter. In the parent: the exit code, after the
// child was mounted, failed or died.
Result<std::variant<std::unique_ptr<Reporter>, int>> ForkIntoBackground();

}  // namespace bt::app
