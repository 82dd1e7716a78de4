// Where the log goes: standard error in the foreground, else a file of the mount's own.
#pragma once

#include <filesystem>
#include <string_view>

#include "transport/base/result.h"

namespace bt::app {

// ${XDG_STATE_HOME:-~/.local/state}/bt-mount/<name>.log
std::filesystem::path LogFilePath(std::string_view name);

void LogToTerminal(bool debug);

// Makes the folder (0700) and the file (0600); keeps three files of 5 MiB.
Status LogToFile(const std::filesystem::path& file, bool debug);

}  // namespace bt::app
