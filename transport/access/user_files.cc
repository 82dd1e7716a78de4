#include "transport/access/user_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "transport/base/unique_fd.h"
#include "transport/base/units.h"

namespace bt::access {
namespace {

constexpr std::size_t kMaxFileBytes = 1_MiB;

std::string Text(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

Result<std::optional<std::string>> ReadUserFile(const std::filesystem::path& path) {
  const auto fail = [&](std::string_view why) {
    return Error{Code::kConfig, fmt::format("{} cannot be read: {}", path.string(), why), "access.file",
                 Fate::kNotSent};
  };
  // Non-blocking, so that a FIFO in the place of the file does not hang us.
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) {
    if (errno == ENOENT || errno == ENOTDIR) {
      return std::optional<std::string>();
    }
    return fail(SystemText(errno));
  }
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0 || S_ISDIR(status.st_mode)) {
    return fail("it is a directory");
  }
  std::string text;
  while (true) {
    const std::size_t have = text.size();
    text.resize(have + 16_KiB);
    const ssize_t got = ::read(fd.get(), text.data() + have, 16_KiB);
    if (got < 0 && errno == EINTR) {
      text.resize(have);
      continue;
    }
    if (got < 0) {
      return fail(SystemText(errno));
    }
    text.resize(have + static_cast<std::size_t>(got));
    if (got == 0) {
      return std::optional<std::string>(std::move(text));
    }
    if (text.size() > kMaxFileBytes) {
      return fail("it is larger than 1 MiB");
    }
  }
}

bool OthersCanRead(const std::filesystem::path& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && (status.st_mode & (S_IRGRP | S_IROTH)) != 0;
}

std::optional<std::string> ParseDefaultRemote(std::string_view proxy_command) {
  constexpr std::string_view kBlank = " \t";
  while (!proxy_command.empty()) {
    const std::size_t end = proxy_command.find('\n');
    std::string_view line = proxy_command.substr(0, end);
    proxy_command.remove_prefix(end == std::string_view::npos ? proxy_command.size() : end + 1);

    constexpr std::string_view kVariable = "DEFAULT_REMOTE";
    if (!line.starts_with(kVariable)) {
      continue;
    }
    line.remove_prefix(kVariable.size());
    line.remove_prefix(std::min(line.find_first_not_of(kBlank), line.size()));
    if (!line.starts_with('=')) {
      continue;
    }
    line.remove_prefix(1);
    line.remove_prefix(std::min(line.find_first_not_of(kBlank), line.size()));
    if (line.empty() || (line.front() != '"' && line.front() != '\'')) {
      continue;
    }
    const std::size_t close = line.find(line.front(), 1);
    if (close == std::string_view::npos) {
      continue;
    }
    const std::string_view name = line.substr(1, close - 1);
    // "{{...}}" is the place holder of a script that was copied but not stamped.
    if (name.empty() || name.starts_with("{{")) {
      return std::nullopt;
    }
    return std::string(name);
  }
  return std::nullopt;
}

Result<Profiles> ParseProfiles(std::string_view json) {
  const auto fail = [](std::string_view what) {
    return Error{Code::kConfig, std::string(what), "access.profiles", Fate::kNotSent};
  };
  const nlohmann::json document = nlohmann::json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) {
    return fail("it is not a JSON object");
  }
  if (const auto version = document.find("version"); version != document.end() && *version != 1) {
    return fail("it is of a version that is not known here");
  }
  Profiles profiles;
  profiles.current = Text(document, "current");
  if (const auto list = document.find("profiles"); list != document.end() && list->is_object()) {
    for (const auto& [name, entry] : list->items()) {
      if (entry.is_object()) {
        profiles.by_name.emplace(name,
                                 Profile{Text(entry, "remote_url"), Text(entry, "auth_type"), Text(entry, "api_key")});
      }
    }
  }
  return profiles;
}

}  // namespace bt::access
