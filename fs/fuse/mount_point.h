// Everything that can be wrong with a place to mount at, found and said before libfuse is asked; and unmounting.
//
// Errors are kConfig and friends with a text for the user. Threading: any thread; may block on the filesystem that
// holds the mount point, not on the network.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>

#include "transport/base/result.h"

namespace bt::fuse {

inline constexpr const char* kSubtype = "bt-mount";
inline constexpr const char* kFsType = "fuse.bt-mount";  // as the table of mounts shows it

// /dev/fuse is there and may be opened.
Status CheckDevice(const std::filesystem::path& device = "/dev/fuse");

// The set-uid program that mounts for everyone but root.
Status CheckFusermount();

// allow_other needs a line in fuse.conf for everyone but root.
Status CheckAllowOther(uid_t uid, const std::filesystem::path& config = "/etc/fuse.conf");

// The canonical path of a directory that is free to mount at: there, a directory, not a mount of ours, and empty unless
// `nonempty`. A dead mount of ours (its daemon is gone) is unmounted first, with a line in the log.
Result<std::filesystem::path> PrepareMountPoint(const std::filesystem::path& path, bool nonempty);

enum class UnmountMode {
  kIfIdle,  // fails while a program has a file open or its working directory there
  kLazy,    // takes the mount out of the tree at once; it ends when the last program lets go
};

// As `fusermount3 -u`; `path` must be absolute.
Status Unmount(const std::filesystem::path& path, UnmountMode mode);

}  // namespace bt::fuse
