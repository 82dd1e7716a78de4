// Between libfuse's structures and ours. Pure; may be called from any thread.
#pragma once

#include <sys/statvfs.h>

#include <chrono>
#include <string>
#include <string_view>

#include "fs/filesystem.h"
#include "fs/fuse/libfuse.h"
#include "transport/base/result.h"

namespace bt::fuse {

// The only place where a Code becomes an errno.
int ToErrno(Code code);

double ToSeconds(std::chrono::milliseconds duration);
fuse_entry_param ToEntryParam(const Entry& entry);
struct statvfs ToStatvfs(const FsStats& stats);
SetAttributesRequest ToSetAttributes(const struct stat& values, int to_set);
Result<RenameMode> ToRenameMode(unsigned flags);  // kInvalid for flags that no server can do

// `name` with control characters and backslashes escaped, so that a file name cannot forge a line of the log.
std::string Printable(std::string_view name);

}  // namespace bt::fuse
