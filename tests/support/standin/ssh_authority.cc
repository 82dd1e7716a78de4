#include "tests/support/standin/ssh_authority.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <utility>

namespace bt::standin {
namespace {

constexpr const char* kKeygen = "/usr/bin/ssh-keygen";
constexpr std::size_t kMaxPublicKey = 16384;

bool LooksLikePublicKey(std::string_view line) {
  constexpr std::array<std::string_view, 3> kTypes{"ssh-ed25519 ", "ssh-rsa ", "ecdsa-sha2-nistp256 "};
  return line.size() <= kMaxPublicKey && line.find_first_of("\r\n\0") == std::string_view::npos &&
         std::any_of(kTypes.begin(), kTypes.end(), [line](std::string_view type) { return line.starts_with(type); });
}

}  // namespace

Status MakeSshKey(Spawner& spawner, const std::string& file, const std::string& log_file) {
  return spawner.Run({.argv = {kKeygen, "-q", "-t", "ed25519", "-N", "", "-C", "standin", "-f", file},
                      .environment = {},
                      .log_file = log_file});
}

SshAuthority::SshAuthority(Spawner& spawner, std::string directory)
    : spawner_(spawner), directory_(std::move(directory)) {}

Result<std::unique_ptr<SshAuthority>> SshAuthority::Open(Spawner& spawner, const std::string& directory) {
  auto authority = std::make_unique<SshAuthority>(spawner, directory);
  if (!std::filesystem::exists(authority->public_key_file())) {
    TRY(MakeSshKey(spawner, directory + "/user_ca", directory + "/keygen.log"));
  }
  return authority;
}

Result<std::string> SshAuthority::Sign(const std::string& public_key, const std::string& key_id,
                                       const std::string& principal, std::chrono::seconds lifetime) {
  std::string line = public_key;
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r' || line.back() == ' ')) {
    line.pop_back();
  }
  if (!LooksLikePublicKey(line)) {
    return Error{Code::kInvalid, "public_key is not an SSH public key", "standin.public-key"};
  }
  const std::uint64_t serial = ++serial_;
  const std::string base = fmt::format("{}/sign-{}", directory_, serial);
  std::ofstream(base + ".pub") << line << '\n';
  // "always" as the start, because a start in the past must come before an end in the past.
  const std::string validity =
      fmt::format("{}:{}{}s", lifetime.count() > 0 ? "-5m" : "always", lifetime.count() > 0 ? "+" : "-",
                  std::max<long long>(1, std::abs(static_cast<long long>(lifetime.count()))));
  const Status ran = spawner_.Run({.argv = {kKeygen, "-q", "-s", directory_ + "/user_ca", "-I", key_id, "-n", principal,
                                            "-z", std::to_string(serial), "-V", validity, base + ".pub"},
                                   .environment = {},
                                   .log_file = base + ".log"});
  std::string certificate;
  std::getline(std::ifstream(base + "-cert.pub") >> std::ws, certificate);
  for (const char* suffix : {".pub", "-cert.pub", ".log"}) {
    std::error_code ignored;
    std::filesystem::remove(base + suffix, ignored);
  }
  if (!ran.ok()) {
    return Error{Code::kInvalid, "public_key is not an SSH public key: " + ran.error().text, "standin.public-key"};
  }
  return certificate;
}

}  // namespace bt::standin
