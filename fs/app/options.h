// The command line: text to value (parse), then rules between values (validate). Pure: reads no file, no environment.
//
// Threading: plain values.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "fs/filesystem.h"
#include "transport/base/result.h"
#include "transport/remote_path.h"

namespace bt::app {

struct MountOptions {
  std::string target;                                // as typed: "abc1234/1:/mnt/ckpts"
  std::optional<std::filesystem::path> mount_point;  // default: ~/baseten/<job>/<node>
  std::optional<std::string> node;
  std::optional<std::string> remote;

  bool foreground = false;
  bool debug = false;
  std::chrono::milliseconds timeout{30'000};  // 0: none
  // For bulk data, besides the first.
  static constexpr unsigned kMostConnections = 16;
  unsigned connections = 4;

  SymlinkPolicy symlinks = SymlinkPolicy::kContained;
  OwnerMap owner_map = OwnerMap::kUser;

  // Blocks kept on this machine's disk.
  bool no_cache = false;
  std::uint64_t cache_size = 0;                    // bytes; 0: a tenth of the disk, at most 50 GiB
  std::optional<std::filesystem::path> cache_dir;  // default: ~/.cache/bt-mount

  std::uint64_t memory = 256ULL << 20U;  // bytes for reading and fetching ahead

  // -o words.
  bool read_only = false;
  bool allow_other = false;
  bool default_permissions = false;
  bool nonempty = false;
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
  std::optional<mode_t> umask;
  std::optional<std::string> fsname;
  std::vector<std::string> kernel_words;  // handed to the kernel as they are: noexec, noatime, ...
};

struct UnmountOptions {
  std::filesystem::path mount_point;
  bool force = false;
};

struct StatusOptions {
  std::optional<std::filesystem::path> mount_point;  // default: all of this user's
  bool json = false;
};

struct CacheOptions {
  enum class Action { kList, kVerify, kClear };
  Action action = Action::kList;
  // Workspace, absolute path in any workspace, or workspace:path; default: everything.
  std::optional<std::string> workspace;
  std::optional<RemotePath> path;
  std::optional<std::filesystem::path> cache_dir;
  bool json = false;
};

struct DemoOptions {
  bool foreground = false;
};

// Print `text` and leave with `code`: --help, --version.
struct PrintAndExit {
  std::string text;
  int code = 0;
};

using Command = std::variant<MountOptions, UnmountOptions, StatusOptions, CacheOptions, DemoOptions, PrintAndExit>;

// kConfig with a sentence for the user when the words are not understood.
Result<Command> ParseCommandLine(int argc, const char* const* argv);

// A size for the cache as people write it; "0" means no cache.
Status ApplyCacheSize(std::string_view text, MountOptions& options);

// A size for the memory of reading.
Status ApplyMemory(std::string_view text, MountOptions& options);

// One "-o" argument: comma-separated mount(8) words, as in /etc/fstab. Words that only mount(8) and systemd need are
// accepted and dropped; unknown words are refused by name.
Status ApplyMountWords(std::string_view words, MountOptions& options);

}  // namespace bt::app
