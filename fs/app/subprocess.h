// Runs a helper program (fusermount3) and collects what it says.
#pragma once

#include <string>
#include <vector>

#include "transport/base/result.h"

namespace bt::app {

struct ProcessOutcome {
  int exit_code = -1;  // 128 + signal when it was killed
  std::string output;  // standard output and standard error, at most 64 KiB
};

// Blocks until the program ends. kNotFound when there is no such program on the PATH.
Result<ProcessOutcome> RunProcess(const std::vector<std::string>& command);

}  // namespace bt::app
