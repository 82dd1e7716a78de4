// SFTP v3 folds most errnos into SSH_FX_FAILURE, and some into NO_SUCH_FILE or BAD_MESSAGE. After a failure, and only
// then, this looks at the server (one pipelined round trip; one more to see whether a directory is empty) and says what
// it can honestly deduce. What looking does not show stays as it was; the server's text is the last hint.
//
// Looking races with whoever else changes the files, so an answer is what a program would have been told a moment
// later.
//
// Threading: as SftpClient; a diagnosis lives for one failed operation. Methods block within the context; when looking
// fails, the original error is the answer.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "transport/base/op_context.h"
#include "transport/remote_fs.h"
#include "transport/sftp/session.h"

namespace bt::sftp {

class FailureDiagnosis {
 public:
  FailureDiagnosis(const OpContext& ctx, Session& session) : ctx_(ctx), session_(session) {}

  // `seen`: what LSTAT (exclusive) or STAT said in the same round trip as the OPEN.
  Error Open(Error error, const RemotePath& path, const OpenFlags& flags, const Result<WireAttributes>& seen);
  // `bytes` could not be written through `handle`.
  Error Write(Error error, const RemotePath& path, const std::string& handle, std::uint64_t bytes);
  Error MakeDirectory(Error error, const RemotePath& path) { return MakeName(std::move(error), path); }
  Error MakeSymlink(Error error, const RemotePath& path) { return MakeName(std::move(error), path); }
  Error MakeHardLink(Error error, const RemotePath& existing, const RemotePath& path);
  // `replace`: posix-rename@openssh.com was used; otherwise the target must not exist.
  Error Rename(Error error, const RemotePath& from, const RemotePath& to, bool replace);
  Error RemoveFile(Error error, const RemotePath& path);
  Error RemoveDirectory(Error error, const RemotePath& path);
  Error ReadDirectory(Error error, const RemotePath& path);
  Error SetAttributes(Error error, const RemotePath& path, const AttributeChange& change);

  // Any operation on a path, without looking: BAD_MESSAGE is ENAMETOOLONG where the path is longer than PATH_MAX.
  static Error OnPath(Error error, const RemotePath& path);
  // Operations on a handle: NO_SUCH_FILE is EBADF there, never a file that is gone.
  static Error OnHandle(Error error);

 private:
  struct Sight {
    std::optional<WireAttributes> attributes;  // none: could not be seen
    std::optional<FsStatsReply> file_system;
  };
  // LSTAT of each path and statvfs of its parent, all at once.
  std::vector<Sight> Look(const std::vector<RemotePath>& paths);
  std::optional<FsStatsReply> LookAtFileSystem(Request request);
  bool HasEntries(const RemotePath& directory);
  Error MakeName(Error error, const RemotePath& path);
  // When no look has told: the server's text as a hint, or that the connection is gone and it must be asked again.
  Error LastWord(Error error);
  Error ByFileSystem(Error error, const std::optional<FsStatsReply>& seen, std::uint64_t bytes, bool makes_name);
  Error TooLong(Error error, const RemotePath& path, const std::optional<FsStatsReply>& seen);

  const OpContext& ctx_;
  Session& session_;
};

}  // namespace bt::sftp
