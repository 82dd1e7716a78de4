#include "cache/block_key.h"

#include <xxhash.h>

#include <algorithm>

#include <fmt/format.h>

namespace bt {
namespace {

constexpr std::string_view kSuffix = ".blocks";
constexpr std::size_t kHashDigits = 32;
constexpr std::size_t kLongestFolder = 100;

bool IsPlain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

bool IsHexDigit(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

}  // namespace

std::string WorkspaceFolder(std::string_view workspace) {
  std::string folder(workspace.substr(0, kLongestFolder));
  std::replace_if(
      folder.begin(), folder.end(), [](char c) { return !IsPlain(c); }, '_');
  if (folder.empty() || folder.front() == '.') {
    folder.insert(folder.begin(), '_');
  }
  return folder;
}

std::filesystem::path BlockFileName(const BlockKey& key) {
  std::string identity = key.workspace;
  identity += '\0';
  identity += key.path.text();
  const XXH128_hash_t hash = XXH3_128bits(identity.data(), identity.size());
  return std::filesystem::path(WorkspaceFolder(key.workspace)) /
         fmt::format("{:016x}{:016x}-{:x}-{:x}-{:x}{}", hash.high64, hash.low64, key.version.size,
                     static_cast<std::uint64_t>(key.version.mtime), key.epoch, kSuffix);
}

std::string_view PathPartOfBlockFileName(std::string_view file_name) {
  const bool ours = file_name.size() > kHashDigits && file_name[kHashDigits] == '-' && file_name.ends_with(kSuffix) &&
                    std::all_of(file_name.begin(), file_name.begin() + kHashDigits, IsHexDigit);
  return ours ? file_name.substr(0, kHashDigits) : std::string_view();
}

}  // namespace bt
