// What a cached block belongs to: one version of one file of one workspace.
//
// A changed file cannot hit blocks of its earlier self, because its key differs. When a version may be trusted at all
// (SFTP v3 tells whole seconds) is the caller's business: see "settled" in design notes of the reader. What a version
// cannot tell of changes made from this machine, the epoch does (path_epochs.h).
//
// Threading: plain values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "transport/base/units.h"
#include "transport/remote_path.h"

namespace bt {

// The unit of presence and of the checksum. An unaligned random read of 64 KiB touches three of them: 1.5 times its
// bytes, where granules of 64 KiB would cost twice.
inline constexpr std::uint64_t kGranule = 32_KiB;

struct FileVersion {
  std::uint64_t size = 0;
  std::int64_t mtime = 0;  // seconds since 1970, as the server says

  bool operator==(const FileVersion&) const = default;
};

struct BlockKey {
  std::string workspace;  // "training-job-abc1234-0", "model-m1-d1"
  RemotePath path;
  FileVersion version;
  std::uint64_t epoch = 0;  // of the path

  bool operator==(const BlockKey&) const = default;
};

// Below the cache's directory: "<folder>/<hash of workspace and path>-<size>-<mtime>-<epoch>.blocks". Versions of one
// path share all up to the first '-', so that superseded ones are found without opening any.
std::filesystem::path BlockFileName(const BlockKey& key);

// The workspace's folder: readable, and safe whatever the workspace is called. Two workspaces may share one: their
// files have different names.
std::string WorkspaceFolder(std::string_view workspace);

// What BlockFileName() made: the part all versions of one path share; empty for any other file name.
std::string_view PathPartOfBlockFileName(std::string_view file_name);

}  // namespace bt
