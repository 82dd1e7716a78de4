// libfuse's own messages, which it would print to stderr, go to the log instead.
//
// Threading: any thread.
#pragma once

#include <string>

namespace bt::fuse {

// For the whole process; may be called again.
void TakeLibraryLog();

// The last message libfuse gave on the calling thread, without "fuse: " and newline, and forgets it. Often the only
// reason that a failed call gives.
std::string LastLibraryMessage();

}  // namespace bt::fuse
