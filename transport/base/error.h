// Errors are values. An Error says what went wrong (Code), how far the request got (Fate), in words a user can act on
// (text) and where it was born (tag). Vendor codes (libssh2, OpenSSL, libcurl, SFTP status) are translated into a Code
// once, in the folder that owns the vendor; Code becomes an errno once, in fs/fuse/convert.cc.
//
// Threading: plain values.
#pragma once

#include <string>
#include <string_view>

namespace bt {

enum class Code {
  // What the server (or our own check) said about the operation.
  kNotFound,          // ENOENT: only ever said by a live server, or by a complete listing
  kPermissionDenied,  // EACCES
  kNotPermitted,      // EPERM
  kExists,            // EEXIST
  kNotEmpty,          // ENOTEMPTY
  kNotDirectory,      // ENOTDIR
  kIsDirectory,       // EISDIR
  kNoSpace,           // ENOSPC
  kQuota,             // EDQUOT
  kReadOnly,          // EROFS
  kNameTooLong,       // ENAMETOOLONG
  kCrossDevice,       // EXDEV
  kTooBig,            // EFBIG
  kInvalid,           // EINVAL
  kUnsupported,       // EOPNOTSUPP: the server offers no way to do this
  kStale,             // ESTALE: the file behind this handle or name is no longer the same
  kBadHandle,         // EBADF
  kTooManyHandles,    // EMFILE
  kLoop,              // ELOOP
  kFailure,           // EIO: the server said no without saying why (SSH_FX_FAILURE), and looking did not tell either

  // What happened to the link or to the request.
  kTimedOut,      // ETIMEDOUT: the deadline passed
  kInterrupted,   // EINTR: the caller was interrupted or the mount is ending
  kDisconnected,  // EIO: the connection ended, or there is none
  kProtocol,      // EIO: the peer broke the protocol; its lane was ended

  // What keeps a connection from being made.
  kUnavailable,  // EIO: the service or the proxy could not be reached or failed; worth another try
  kRefused,      // EACCES: credentials or certificate were refused; another try will not help
  kNotRunning,   // EIO: the training job is not RUNNING
  kConfig,       // EINVAL: the user's configuration must be mended

  kInternal,  // EIO: a defect of ours
};

// How far a failed request got. Decides whether it may be sent again (transport/retry_policy).
enum class Fate {
  kAnswered,  // the server answered: the error is the answer
  kNotSent,   // surely never reached the server
  kUnknown,   // sent, or perhaps sent; no answer came
};

struct [[nodiscard]] Error {
  Code code = Code::kInternal;
  std::string text;  // for people: what happened, to what, and what to do next; never a secret
  std::string tag;   // stable and short, for logs: "sftp.bad-packet", "ssh.handshake"
  Fate fate = Fate::kAnswered;

  // The same error with "<what>: " before its text.
  Error Within(std::string_view what) &&;
};

// A short lower-case name of the code, for logs and tests: "not-found".
std::string_view CodeName(Code code);

// The system's words for an errno: "No such file or directory". Unlike strerror(3) from any thread.
std::string SystemText(int error);

// "text [tag]" or just the code's name when there is no text.
std::string Describe(const Error& error);

}  // namespace bt
