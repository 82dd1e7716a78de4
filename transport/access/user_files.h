// The files of the official clients that hold a key or a choice; only ever read.
//
// Threading: parsing is pure; ReadUserFile blocks for the disk.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "transport/base/result.h"

namespace bt::access {

// The whole file; nullopt when there is none. kConfig when it cannot be read or is larger than 1 MiB.
Result<std::optional<std::string>> ReadUserFile(const std::filesystem::path& path);

// True when others than the owner may read it.
bool OthersCanRead(const std::filesystem::path& path);

// The name in the line `DEFAULT_REMOTE = "name"` that `truss ssh setup --default-remote` writes into proxy-command.py.
// nullopt when there is none, or when it was never stamped.
std::optional<std::string> ParseDefaultRemote(std::string_view proxy_command);

// baseten-cli's auth.json.
struct Profile {
  std::string remote_url;
  std::string auth_type;
  std::string api_key;  // empty when it lives in the keyring of the operating system
};
struct Profiles {
  std::string current;
  std::map<std::string, Profile> by_name;
};
// kConfig when it is not what baseten-cli writes. The text of the error holds nothing of the file.
Result<Profiles> ParseProfiles(std::string_view json);

}  // namespace bt::access
