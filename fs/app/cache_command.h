// bt-mount cache: what is kept on this machine's disk.
#pragma once

#include <filesystem>
#include <optional>

#include "fs/app/options.h"

namespace bt::app {

int RunCache(const CacheOptions& options);

// The directory meant by --cache-dir: absolute; without one ${XDG_CACHE_HOME:-~/.cache}/bt-mount.
std::filesystem::path CacheDirectory(const std::optional<std::filesystem::path>& given);

}  // namespace bt::app
