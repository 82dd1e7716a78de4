#include "fs/fuse/library_log.h"

#include <spdlog/spdlog.h>

#include <array>
#include <cstdarg>
#include <cstdio>
#include <string_view>
#include <utility>

#include "fs/fuse/libfuse.h"

namespace bt::fuse {
namespace {

// NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables): of each thread; libfuse hands nothing along
thread_local std::string unfinished_line;
thread_local std::string last_message;
// NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables)

std::string Trimmed(std::string_view text) {
  while (text.ends_with('\n')) {
    text.remove_suffix(1);
  }
  if (constexpr std::string_view kPrefix = "fuse: "; text.starts_with(kPrefix)) {
    text.remove_prefix(kPrefix.size());
  }
  return std::string(text);
}

spdlog::level::level_enum ToLevel(fuse_log_level level) {
  switch (level) {
    case FUSE_LOG_EMERG:
    case FUSE_LOG_ALERT:
    case FUSE_LOG_CRIT:
    case FUSE_LOG_ERR:
      return spdlog::level::err;
    case FUSE_LOG_WARNING:
      return spdlog::level::warn;
    case FUSE_LOG_NOTICE:
    case FUSE_LOG_INFO:
      return spdlog::level::info;
    case FUSE_LOG_DEBUG:
      return spdlog::level::debug;
  }
  return spdlog::level::err;
}

// libfuse builds some lines from several messages; the last one ends with a newline.
__attribute__((format(printf, 2, 0))) void OnMessage(fuse_log_level level, const char* format, va_list arguments) {
  std::array<char, 1024> part{};
  std::vsnprintf(part.data(), part.size(), format, arguments);
  unfinished_line += part.data();
  if (!unfinished_line.ends_with('\n')) {
    return;
  }
  last_message = Trimmed(std::exchange(unfinished_line, {}));
  spdlog::log(ToLevel(level), "libfuse: {}", last_message);
}

}  // namespace

void TakeLibraryLog() { fuse_set_log_func(OnMessage); }

std::string LastLibraryMessage() {
  std::string last = std::exchange(last_message, {});
  const std::string unfinished = Trimmed(std::exchange(unfinished_line, {}));
  return unfinished.empty() ? last : unfinished;
}

}  // namespace bt::fuse
