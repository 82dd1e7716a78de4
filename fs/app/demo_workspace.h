// The files that `bt-mount demo` shows: what a small training run leaves behind.
#pragma once

#include <filesystem>

#include "transport/base/result.h"

namespace bt::app {

// Makes them below `directory`; files that are there already are left alone.
Status MakeDemoWorkspace(const std::filesystem::path& directory);

}  // namespace bt::app
