#include "transport/access/environment.h"

#include <pwd.h>
#include <strings.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <utility>

namespace bt::access {

Environment Environment::OfProcess() {
  return Environment([](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  });
}

Environment Environment::Of(std::map<std::string, std::string> variables) {
  return Environment([variables = std::move(variables)](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional<std::string>(found->second);
  });
}

std::optional<std::string> Environment::Get(const std::string& name) const {
  std::optional<std::string> value = lookup_(name);
  if (value && value->empty()) {
    value.reset();
  }
  return value;
}

bool Environment::Flag(const std::string& name) const {
  const std::optional<std::string> value = Get(name);
  return value && (*value == "1" || ::strcasecmp(value->c_str(), "true") == 0);
}

std::filesystem::path Environment::Home() const {
  if (const auto home = Get("HOME")) {
    return *home;
  }
  std::array<char, 4096> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(::getuid(), &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) {
    return entry.pw_dir;
  }
  return "/";
}

std::filesystem::path Environment::SshDirectory() const {
  if (const auto directory = Get("BASETEN_SSH_DIR")) {
    return *directory;
  }
  return Home() / ".ssh" / "baseten";
}

}  // namespace bt::access
