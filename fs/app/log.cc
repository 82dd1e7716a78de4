#include "fs/app/log.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <system_error>

#include <fmt/format.h>
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include "fs/app/home.h"
#include "transport/base/unique_fd.h"

namespace bt::app {
namespace {

constexpr std::size_t kLogBytes = 5U << 20U;
constexpr std::size_t kLogFiles = 3;

void Use(std::shared_ptr<spdlog::logger> logger, bool debug) {
  logger->set_pattern("%Y-%m-%d %H:%M:%S.%e %^%l%$ [%t] %v");
  const auto level = debug ? spdlog::level::debug : spdlog::level::info;
  logger->set_level(level);
  logger->flush_on(level);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace

std::filesystem::path LogFilePath(std::string_view name) {
  return XdgDirectory("XDG_STATE_HOME", ".local/state") / "bt-mount" / fmt::format("{}.log", name);
}

void LogToTerminal(bool debug) { Use(spdlog::stderr_color_mt("bt-mount"), debug); }

Status LogToFile(const std::filesystem::path& file, bool debug) {
  std::error_code problem;
  std::filesystem::create_directories(file.parent_path(), problem);
  if (!problem) {
    ::chmod(file.parent_path().c_str(), 0700);
  }
  // Made here so that it never exists with wider permissions.
  const UniqueFd made(::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!made) {
    return Error{Code::kConfig, fmt::format("cannot write the log {}: {}", file.string(), SystemText(errno)),
                 "app.log"};
  }
  try {
    Use(spdlog::rotating_logger_mt("bt-mount", file.string(), kLogBytes, kLogFiles), debug);
  } catch (const spdlog::spdlog_ex& failure) {
    return Error{Code::kConfig, fmt::format("cannot write the log {}: {}", file.string(), failure.what()), "app.log"};
  }
  return {};
}

}  // namespace bt::app
