#include "transport/sftp/errors.h"

#include <fmt/format.h>

namespace bt::sftp {
namespace {

struct Meaning {
  Code code;
  std::string_view text;  // where the server says nothing
  std::string_view tag;
};

Meaning MeaningOf(StatusCode status) {
  switch (status) {
    case StatusCode::kNoSuchFile:
      return {Code::kNotFound, "no such file", "sftp.no-such-file"};
    case StatusCode::kPermissionDenied:
      return {Code::kPermissionDenied, "permission denied", "sftp.permission-denied"};
    // OpenSSH's word for EINVAL and ENAMETOOLONG.
    case StatusCode::kBadMessage:
      return {Code::kInvalid, "the server found the request invalid", "sftp.bad-message"};
    case StatusCode::kOpUnsupported:
      return {Code::kUnsupported, "the server does not support this", "sftp.unsupported"};
    // Never sent by servers (section 7), but if one does: its own way to the files is broken, not ours to it.
    case StatusCode::kNoConnection:
    case StatusCode::kConnectionLost:
      return {Code::kFailure, "the server lost its files", "sftp.server-connection"};
    // EOF and OK mean something only where the caller asked for them.
    case StatusCode::kOk:
    case StatusCode::kEof:
    case StatusCode::kFailure:
      break;
  }
  return {Code::kFailure, "the server says no without a reason", "sftp.failure"};
}

}  // namespace

std::string Printable(std::string_view text) {
  constexpr std::size_t kMaxBytes = 200;
  std::string clean(text.substr(0, kMaxBytes));
  for (char& c : clean) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      c = '?';
    }
  }
  return clean;
}

Error StatusError(StatusCode status, std::string_view message) {
  const Meaning meaning = MeaningOf(status);
  std::string text(meaning.text);
  if (!message.empty()) {
    text = fmt::format("{} (the server: \"{}\")", meaning.text, Printable(message));
  }
  return Error{meaning.code, std::move(text), std::string(meaning.tag)};
}

Error Malformed(std::string_view what) {
  return Error{Code::kProtocol, fmt::format("the server sent a malformed SFTP {}", what), "sftp.bad-packet",
               Fate::kUnknown};
}

}  // namespace bt::sftp
