// The user's own directories.
#pragma once

#include <filesystem>

namespace bt::app {

// $HOME, else the password database, else "/".
std::filesystem::path HomeDirectory();

// The XDG base directory named by `variable` when that is an absolute path, else `fallback` below the home directory.
std::filesystem::path XdgDirectory(const char* variable, const std::filesystem::path& fallback);

}  // namespace bt::app
