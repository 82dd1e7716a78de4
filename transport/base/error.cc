#include "transport/base/error.h"

#include <system_error>

namespace bt {

Error Error::Within(std::string_view what) && {
  std::string prefixed(what);
  prefixed += ": ";
  prefixed += text.empty() ? CodeName(code) : std::string_view(text);
  text = std::move(prefixed);
  return std::move(*this);
}

std::string_view CodeName(Code code) {
  switch (code) {
    case Code::kNotFound:
      return "not-found";
    case Code::kPermissionDenied:
      return "permission-denied";
    case Code::kNotPermitted:
      return "not-permitted";
    case Code::kExists:
      return "exists";
    case Code::kNotEmpty:
      return "not-empty";
    case Code::kNotDirectory:
      return "not-directory";
    case Code::kIsDirectory:
      return "is-directory";
    case Code::kNoSpace:
      return "no-space";
    case Code::kQuota:
      return "quota";
    case Code::kReadOnly:
      return "read-only";
    case Code::kNameTooLong:
      return "name-too-long";
    case Code::kCrossDevice:
      return "cross-device";
    case Code::kTooBig:
      return "too-big";
    case Code::kInvalid:
      return "invalid";
    case Code::kUnsupported:
      return "unsupported";
    case Code::kStale:
      return "stale";
    case Code::kBadHandle:
      return "bad-handle";
    case Code::kTooManyHandles:
      return "too-many-handles";
    case Code::kLoop:
      return "loop";
    case Code::kFailure:
      return "failure";
    case Code::kTimedOut:
      return "timed-out";
    case Code::kInterrupted:
      return "interrupted";
    case Code::kDisconnected:
      return "disconnected";
    case Code::kProtocol:
      return "protocol";
    case Code::kUnavailable:
      return "unavailable";
    case Code::kRefused:
      return "refused";
    case Code::kNotRunning:
      return "not-running";
    case Code::kConfig:
      return "config";
    case Code::kInternal:
      return "internal";
  }
  return "unknown";
}

std::string SystemText(int error) { return std::generic_category().message(error); }

std::string Describe(const Error& error) {
  std::string line = error.text.empty() ? std::string(CodeName(error.code)) : error.text;
  if (!error.tag.empty()) {
    line += " [";
    line += error.tag;
    line += "]";
  }
  return line;
}

}  // namespace bt
