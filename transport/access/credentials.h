// Which API key to use, and where: BASETEN_API_KEY, else ~/.trussrc (truss), else the profiles of baseten-cli.
//
// Threading: free functions; they read the user's files (bounded, 1 MiB each) and block for nothing else.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "transport/access/environment.h"
#include "transport/access/secret.h"
#include "transport/base/result.h"

namespace bt::access {

struct Credentials {
  Secret api_key;
  std::string api_base;               // "https://api.baseten.co", without a slash at the end
  std::string origin;                 // for messages: "BASETEN_API_KEY", "remote \"baseten\" in /home/u/.trussrc"
  std::vector<std::string> warnings;  // for the user to see once
};

struct CredentialQuery {
  std::optional<std::string> remote;      // from the host name or --remote
  std::optional<std::string> api_prefix;  // from the host name
};

// kConfig, with what to do, when there is no usable key.
//
// The remote is the one asked for, else the only one, else the default that `truss ssh setup --default-remote` left in
// proxy-command.py. A remote that ~/.trussrc does not have is looked up among the profiles of baseten-cli. The API base
// is BASETEN_BASE_URL, else that of the prefix, else that of the remote's remote_url.
// Plain http is accepted for a loopback BASETEN_BASE_URL only (with a warning): the key must not cross a network in
// clear.
Result<Credentials> FindCredentials(const Environment& environment, const CredentialQuery& query);

// "https://app.baseten.co" -> "https://api.baseten.co", "https://app.x.baseten.co" -> "https://api.x.baseten.co", where
// the app host "dev" has the API host "mc-dev". kConfig for anything else. Pure.
Result<std::string> ApiBaseOfApp(std::string_view remote_url);

}  // namespace bt::access
