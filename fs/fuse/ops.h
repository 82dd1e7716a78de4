// The operation table: every callback decodes a request, calls one method of the Filesystem and replies, in one shape.
// No lock, no cache and no retry lives here.
//
// Left out on purpose, so that libfuse answers ENOSYS and the kernel does not ask again: extended attributes and
// fallocate (the kernel says EOPNOTSUPP to programs; extending a file by its size alone would race with another writer
// and reserve nothing), lseek (the kernel knows data only), locks (the kernel keeps them for this mount), ioctl, poll,
// bmap.
#pragma once

#include "fs/fuse/libfuse.h"

namespace bt::fuse {

// The session's user data must be a Border (call.h). `init` and `destroy` are left to the mount.
fuse_lowlevel_ops AllOperations();

void AddNameOperations(fuse_lowlevel_ops& ops);  // ops_names.cc: names and attributes
void AddFileOperations(fuse_lowlevel_ops& ops);  // ops_files.cc: open files and directories

}  // namespace bt::fuse
