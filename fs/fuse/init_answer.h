// libfuse before 3.17 never tells the kernel of FUSE_CAP_PARALLEL_DIROPS (libfuse pull request 861). Without it the
// kernel sends one lookup or readdir a directory at a time, and who waits for his turn cannot be killed. So what
// libfuse writes to /dev/fuse passes here, and the flag is put into the answer to INIT.
//
// Threading: as the session, which answers INIT before it serves anything else.
#pragma once

#include "fs/fuse/libfuse.h"
#include "transport/base/result.h"

namespace bt::fuse {

// After fuse_session_mount() and before the first request; the session's user data is a Border (call.h), whose
// `init_answer_due` is set by the operation that handles INIT.
Status AllowParallelLookups(fuse_session* session);

}  // namespace bt::fuse
