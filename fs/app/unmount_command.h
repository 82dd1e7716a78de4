// bt-mount unmount: ends a mount, and stays until its last byte is sent.
#pragma once

#include <filesystem>

#include "fs/app/options.h"

namespace bt::app {

int RunUnmount(const UnmountOptions& options);

// Absolute and without symlinks, but without touching the mounted root itself: a dead mount must not make us wait.
std::filesystem::path ResolveMountPoint(const std::filesystem::path& path);

}  // namespace bt::app
