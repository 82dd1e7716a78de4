// The words of -o, so that /etc/fstab, `mount -t fuse.bt-mount` and people who know sshfs find what they expect.

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "fs/app/options.h"
#include "transport/base/units.h"

namespace bt::app {
namespace {

// For mount(8), systemd and the kernel's defaults; nothing for us to do. suid and dev cannot be had: a mount of a
// remote machine is always nosuid,nodev.
constexpr std::array<std::string_view, 20> kDropped{
    "rw",     "defaults", "auto",  "noauto", "user",     "nouser", "users",  "owner", "group", "_netdev",
    "nofail", "exec",     "async", "atime",  "diratime", "suid",   "nosuid", "dev",   "nodev", "relatime"};

constexpr std::array<std::string_view, 6> kKernelWords{"noexec", "noatime", "nodiratime",
                                                       "sync",   "dirsync", "nosymfollow"};

template <std::size_t N>
bool IsOneOf(const std::array<std::string_view, N>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

Error BadWord(std::string_view word, std::string_view why) {
  return Error{Code::kConfig, fmt::format("-o {}: {}", word, why), "options.word"};
}

Result<unsigned> ParseNumber(std::string_view word, std::string_view text, int base) {
  unsigned number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, problem] = std::from_chars(text.data(), end, number, base);
  if (problem != std::errc() || rest != end || text.empty()) {
    return BadWord(word, base == 8 ? "an octal number such as 022 is expected" : "a number is expected");
  }
  return number;
}

// "key=value" words.
Status ApplyAssignment(std::string_view word, std::string_view key, std::string_view value, MountOptions& options) {
  if (key == "uid") {
    options.uid = TRY(ParseNumber(word, value, 10));
  } else if (key == "gid") {
    options.gid = TRY(ParseNumber(word, value, 10));
  } else if (key == "umask") {
    const unsigned mask = TRY(ParseNumber(word, value, 8));
    if (mask > 0777) {
      return BadWord(word, "a mask has no more than three octal digits");
    }
    options.umask = mask;
  } else if (key == "fsname") {
    options.fsname = std::string(value);
  } else if (key == "node") {
    options.node = std::string(value);
  } else if (key == "remote") {
    options.remote = std::string(value);
  } else if (key == "timeout") {
    options.timeout = TRY(ParseDuration(value));
  } else if (key == "cache_size") {
    TRY(ApplyCacheSize(value, options));
  } else if (key == "memory") {
    TRY(ApplyMemory(value, options));
  } else if (key == "cache_dir") {
    options.cache_dir = std::filesystem::path(value);
  } else if (key == "connections") {
    options.connections = TRY(ParseNumber(word, value, 10));
    if (options.connections > MountOptions::kMostConnections) {
      return BadWord(word, fmt::format("at most {} connections", MountOptions::kMostConnections));
    }
  } else if (key == "symlinks" && (value == "contained" || value == "raw")) {
    options.symlinks = value == "raw" ? SymlinkPolicy::kRaw : SymlinkPolicy::kContained;
  } else if (key == "uid_map" && (value == "user" || value == "server")) {
    options.owner_map = value == "server" ? OwnerMap::kServer : OwnerMap::kUser;
  } else if (key == "comment" || key.starts_with("x-")) {
    return {};
  } else {
    return BadWord(word, "not a mount option of bt-mount; see bt-mount --help");
  }
  return {};
}

Status ApplyWord(std::string_view word, MountOptions& options) {
  const std::size_t equals = word.find('=');
  if (equals != std::string_view::npos) {
    return ApplyAssignment(word, word.substr(0, equals), word.substr(equals + 1), options);
  }
  if (word == "ro") {
    options.read_only = true;
  } else if (word == "allow_other") {
    options.allow_other = true;
  } else if (word == "default_permissions") {
    options.default_permissions = true;
  } else if (word == "no_cache") {
    options.no_cache = true;
  } else if (word == "nonempty") {
    options.nonempty = true;
  } else if (IsOneOf(kKernelWords, word)) {
    options.kernel_words.emplace_back(word);
  } else if (!IsOneOf(kDropped, word) && !word.starts_with("x-")) {
    return BadWord(word, "not a mount option of bt-mount; see bt-mount --help");
  }
  return {};
}

}  // namespace

Status ApplyMountWords(std::string_view words, MountOptions& options) {
  while (!words.empty()) {
    const std::size_t comma = std::min(words.find(','), words.size());
    const std::string_view word = words.substr(0, comma);
    words.remove_prefix(std::min(comma + 1, words.size()));
    if (!word.empty()) {
      TRY(ApplyWord(word, options));
    }
  }
  return {};
}

}  // namespace bt::app
