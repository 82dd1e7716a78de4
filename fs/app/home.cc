#include "fs/app/home.h"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>

namespace bt::app {

std::filesystem::path HomeDirectory() {
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/') {
    return home;
  }
  const struct passwd* user = ::getpwuid(::getuid());  // NOLINT(concurrency-mt-unsafe): there are no other threads yet
  return user != nullptr && user->pw_dir != nullptr ? user->pw_dir : "/";
}

std::filesystem::path XdgDirectory(const char* variable, const std::filesystem::path& fallback) {
  // The specification says to ignore relative paths.
  if (const char* value = std::getenv(variable); value != nullptr && *value == '/') {
    return value;
  }
  return HomeDirectory() / fallback;
}

}  // namespace bt::app
