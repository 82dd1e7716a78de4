// The environment variables that bt-mount looks at, injected so that tests need no setenv().
//
// Threading: a value; Get() is const.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>

namespace bt::access {

class Environment {
 public:
  // Reads the variables of the process at each call.
  static Environment OfProcess();
  static Environment Of(std::map<std::string, std::string> variables);

  // Unset and empty are the same.
  std::optional<std::string> Get(const std::string& name) const;

  // "1" or "true", in any case.
  bool Flag(const std::string& name) const;

  // $HOME, else what the password database says, else "/".
  std::filesystem::path Home() const;

  // Where the official clients keep their SSH key pair: BASETEN_SSH_DIR, else ~/.ssh/baseten.
  std::filesystem::path SshDirectory() const;

 private:
  using Lookup = std::function<std::optional<std::string>(const std::string&)>;
  explicit Environment(Lookup lookup) : lookup_(std::move(lookup)) {}
  Lookup lookup_;
};

}  // namespace bt::access
