// What to do with an operation that failed: pure knowledge, one row an operation. transport/RECONNECT.md has the table.
//
// Threading: pure functions.
#pragma once

#include <string_view>

#include "transport/base/error.h"

namespace bt {

enum class Operation {
  kLstat,
  kStat,
  kReadDirectory,
  kReadLink,
  kStatFs,
  kRealPath,
  kOpen,  // without exclusive; creating or truncating twice ends in the same state
  kCreateExclusive,
  kRead,
  kWrite,   // at an offset
  kAppend,  // where the server places the bytes
  kFileStat,
  kSync,
  kSetAttributes,
  kMakeDirectory,
  kMakeSymlink,
  kMakeHardLink,
  kRemoveFile,
  kRemoveDirectory,
  kRename,
  kRenameNoReplace,
  kCopyRange,
};
inline constexpr int kOperationCount = static_cast<int>(Operation::kCopyRange) + 1;

enum class Verdict {
  kGiveUp,  // the error is the answer
  kRetry,   // send it again on the next connection
  kLook,    // it may or may not have been done: look at the server and decide
};

// True when running it twice has the same outcome as running it once.
bool IsIdempotent(Operation operation);

// True when it leaves something changed at the server. (An open that creates or truncates does so, too.)
bool ChangesServer(Operation operation);

// `lost_before` counts the connections that this very operation has already lost by protocol errors: a server that
// answers it with garbage each time must not be dialled for ever.
Verdict Decide(Operation operation, const Error& error, int lost_before);

// The same for one operation from its first attempt to its last.
class Losses {
 public:
  Verdict Decide(Operation operation, const Error& error) {
    return bt::Decide(operation, error, error.code == Code::kProtocol ? protocol_errors_++ : protocol_errors_);
  }

 private:
  int protocol_errors_ = 0;
};

std::string_view OperationName(Operation operation);

}  // namespace bt
