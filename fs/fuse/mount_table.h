// The system's table of mounts. The only place that reads /proc/self/mountinfo; another system needs another .cc.
//
// Nothing here touches the mounted filesystems, so nothing can hang on a dead one.
//
// Threading: pure, or reads the table anew; any thread.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "transport/base/result.h"

namespace bt::fuse {

struct MountEntry {
  std::filesystem::path mount_point;
  std::string fs_type;  // "fuse.bt-mount"
  std::string source;   // -o fsname=
  std::string options;  // of the mount: "rw,nosuid,nodev"
  unsigned device_minor = 0;

  // The directory under /sys/fs/fuse/connections that can end a FUSE mount's connection.
  unsigned connection() const { return device_minor; }
};

// The text of /proc/self/mountinfo (proc(5)); lines that are none are left out.
std::vector<MountEntry> ParseMountInfo(std::string_view text);

Result<std::vector<MountEntry>> ReadMountTable();
Result<std::vector<MountEntry>> FindMounts(std::string_view fs_type);

// The topmost mount exactly at `path`, which must be absolute and without symlinks; none: kNotFound.
Result<MountEntry> FindMountAt(const std::filesystem::path& path);
bool IsMountPoint(const std::filesystem::path& path);

}  // namespace bt::fuse
