#include "transport/retry_policy.h"

namespace bt {
namespace {

constexpr int kProtocolErrorsBeforeGivingUp = 2;

}  // namespace

bool IsIdempotent(Operation operation) {
  switch (operation) {
    case Operation::kLstat:
    case Operation::kStat:
    case Operation::kReadDirectory:
    case Operation::kReadLink:
    case Operation::kStatFs:
    case Operation::kRealPath:
    case Operation::kOpen:
    case Operation::kRead:
    case Operation::kWrite:
    case Operation::kFileStat:
    case Operation::kSync:
    case Operation::kSetAttributes:
    case Operation::kCopyRange:
      return true;
    case Operation::kCreateExclusive:
    case Operation::kAppend:
    case Operation::kMakeDirectory:
    case Operation::kMakeSymlink:
    case Operation::kMakeHardLink:
    case Operation::kRemoveFile:
    case Operation::kRemoveDirectory:
    case Operation::kRename:
    case Operation::kRenameNoReplace:
      return false;
  }
  return false;
}

bool ChangesServer(Operation operation) {
  switch (operation) {
    case Operation::kLstat:
    case Operation::kStat:
    case Operation::kReadDirectory:
    case Operation::kReadLink:
    case Operation::kStatFs:
    case Operation::kRealPath:
    case Operation::kOpen:
    case Operation::kRead:
    case Operation::kFileStat:
    case Operation::kSync:
      return false;
    case Operation::kCreateExclusive:
    case Operation::kWrite:
    case Operation::kAppend:
    case Operation::kSetAttributes:
    case Operation::kMakeDirectory:
    case Operation::kMakeSymlink:
    case Operation::kMakeHardLink:
    case Operation::kRemoveFile:
    case Operation::kRemoveDirectory:
    case Operation::kRename:
    case Operation::kRenameNoReplace:
    case Operation::kCopyRange:
      return true;
  }
  return true;
}

Verdict Decide(Operation operation, const Error& error, int lost_before) {
  if (error.code != Code::kDisconnected && error.code != Code::kProtocol) {
    return Verdict::kGiveUp;
  }
  if (error.code == Code::kProtocol && lost_before >= kProtocolErrorsBeforeGivingUp) {
    return Verdict::kGiveUp;
  }
  if (error.fate == Fate::kNotSent || IsIdempotent(operation)) {
    return Verdict::kRetry;
  }
  return Verdict::kLook;
}

std::string_view OperationName(Operation operation) {
  switch (operation) {
    case Operation::kLstat:
      return "lstat";
    case Operation::kStat:
      return "stat";
    case Operation::kReadDirectory:
      return "readdir";
    case Operation::kReadLink:
      return "readlink";
    case Operation::kStatFs:
      return "statvfs";
    case Operation::kRealPath:
      return "realpath";
    case Operation::kOpen:
      return "open";
    case Operation::kCreateExclusive:
      return "create";
    case Operation::kRead:
      return "read";
    case Operation::kWrite:
      return "write";
    case Operation::kAppend:
      return "append";
    case Operation::kFileStat:
      return "fstat";
    case Operation::kSync:
      return "fsync";
    case Operation::kSetAttributes:
      return "setstat";
    case Operation::kMakeDirectory:
      return "mkdir";
    case Operation::kMakeSymlink:
      return "symlink";
    case Operation::kMakeHardLink:
      return "link";
    case Operation::kRemoveFile:
      return "unlink";
    case Operation::kRemoveDirectory:
      return "rmdir";
    case Operation::kRename:
      return "rename";
    case Operation::kRenameNoReplace:
      return "rename-noreplace";
    case Operation::kCopyRange:
      return "copy";
  }
  return "unknown";
}

}  // namespace bt
