#include "transport/sftp/sftp_fs.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "transport/base/units.h"
#include "transport/sftp/directory_reader.h"
#include "transport/sftp/errors.h"
#include "transport/sftp/failure_diagnosis.h"
#include "transport/sftp/replies.h"
#include "transport/sftp/sftp_file.h"

namespace bt::sftp {
namespace {

// The server does nothing else on this channel while it copies: not too much at once.
constexpr std::uint64_t kLargestCopy = 64_MiB;
constexpr std::uint64_t kUncertainTail = 64_KiB;  // see CopyChunk
constexpr int kMaxEndsSeen = 3;                   // a source that shrinks for ever is somebody else's problem

Error Of(Error error, std::string_view operation, const RemotePath& path) {
  return FailureDiagnosis::OnPath(std::move(error), path).Within(fmt::format("{} {}", operation, path.text()));
}

Error Unsupported(std::string_view text) {
  return Error{Code::kUnsupported, std::string(text), "sftp.unsupported", Fate::kNotSent};
}

std::uint32_t WireFlags(const OpenFlags& flags) {
  return (flags.read ? kOpenRead : 0U) | (flags.write ? kOpenWrite : 0U) | (flags.append ? kOpenAppend : 0U) |
         (flags.create ? kOpenCreate : 0U) | (flags.create && flags.exclusive ? kOpenExclusive : 0U) |
         (flags.truncate ? kOpenTruncate : 0U);
}

// False: the source ended before the length that was asked for.
Result<bool> DecodeCopied(const Reply& reply) {
  if (IsEndOfFile(reply)) {
    return false;
  }
  TRY(DecodeStatus(reply));
  return true;
}

}  // namespace

Result<std::unique_ptr<SftpFs>> SftpFs::Open(const OpContext& ctx, std::unique_ptr<MessageChannel> channel) {
  std::unique_ptr<SftpClient> client = TRY(SftpClient::Open(ctx, std::move(channel)));
  return std::unique_ptr<SftpFs>(new SftpFs(std::make_shared<Session>(std::move(client))));
}

SftpFs::~SftpFs() {
  client().Close(Error{Code::kDisconnected, "the connection to the server was closed", "sftp.closed"});
}

Result<Attributes> SftpFs::Lstat(const OpContext& ctx, const RemotePath& path) {
  Result<WireAttributes> seen = client().Ask(ctx, LstatRequest(path.text()), DecodeAttributes);
  if (!seen.ok()) {
    return Of(std::move(seen).error(), "lstat", path);
  }
  return seen->values;
}

Result<Attributes> SftpFs::Stat(const OpContext& ctx, const RemotePath& path) {
  Result<WireAttributes> seen = client().Ask(ctx, StatRequest(path.text()), DecodeAttributes);
  if (!seen.ok()) {
    return Of(std::move(seen).error(), "stat", path);
  }
  return seen->values;
}

Status SftpFs::SetAttributes(const OpContext& ctx, const RemotePath& path, const AttributeChange& change) {
  if (change.empty()) {
    return {};
  }
  TRY(CheckChange(change));
  const bool by_lsetstat =
      session_->server().lsetstat && !change.size && !(change.permissions && session_->lsetstat_lacks_permissions());
  if (!by_lsetstat) {
    return SetAttributesGuarded(ctx, path, change);
  }
  Status changed = client().Ask(ctx, LsetstatRequest(path.text(), change), DecodeStatus);
  if (changed.ok()) {
    return changed;
  }
  const Code code = changed.error().code;
  if (change.permissions && (code == Code::kFailure || code == Code::kUnsupported)) {
    changed = SetAttributesGuarded(ctx, path, change);
    if (changed.ok()) {
      session_->NoteLsetstatLacksPermissions();
    }
    return changed;
  }
  return Of(FailureDiagnosis(ctx, *session_).SetAttributes(std::move(changed).error(), path, change), "change", path);
}

// SETSTAT follows symlinks, so it is not sent before it is known that there is none; pipelined, it would change the
// wrong file first and ask afterwards.
Status SftpFs::SetAttributesGuarded(const OpContext& ctx, const RemotePath& path, const AttributeChange& change) {
  const Attributes now = TRY(Lstat(ctx, path));
  if (now.is_symlink()) {
    return Of(Unsupported("the server cannot change a symbolic link itself"), "change", path);
  }
  if (change.size && now.is_directory()) {
    return Of(Error{Code::kIsDirectory, "a directory has no size to set", "sftp.is-directory", Fate::kNotSent},
              "change", path);
  }
  Status changed = client().Ask(ctx, SetstatRequest(path.text(), change), DecodeStatus);
  if (!changed.ok()) {
    return Of(FailureDiagnosis(ctx, *session_).SetAttributes(std::move(changed).error(), path, change), "change", path);
  }
  return changed;
}

Result<std::vector<DirEntry>> SftpFs::ReadDirectory(const OpContext& ctx, const RemotePath& path) {
  Result<std::vector<DirEntry>> entries = ListDirectory(ctx, *session_, path);
  if (!entries.ok()) {
    return Of(FailureDiagnosis(ctx, *session_).ReadDirectory(std::move(entries).error(), path), "list", path);
  }
  return entries;
}

Status SftpFs::ReadDirectories(const OpContext& ctx, std::span<const DirectoryQuery> queries, std::size_t max_entries,
                               const Listed& listed) {
  return ListDirectories(ctx, *session_, queries, max_entries, listed);
}

Status SftpFs::LstatMany(const OpContext& ctx, std::span<const RemotePath> paths, const Seen& seen) {
  TRY(ctx.Check(Fate::kNotSent));
  std::vector<Request> requests;
  requests.reserve(paths.size());
  for (const RemotePath& path : paths) {
    requests.push_back(LstatRequest(path.text()));
  }
  std::vector<SftpClient::Call> calls = client().Submit(std::move(requests));
  for (std::size_t i = 0; i < paths.size(); ++i) {
    Result<WireAttributes> answer = client().Take(ctx, std::move(calls[i]), DecodeAttributes);
    if (answer.ok()) {
      seen(i, answer->values);
    } else if (answer.error().fate == Fate::kAnswered) {
      seen(i, std::move(answer).error());
    } else {
      return std::move(answer).error();
    }
  }
  return {};
}

Result<std::string> SftpFs::ReadLink(const OpContext& ctx, const RemotePath& path) {
  Result<std::string> target = client().Ask(ctx, ReadlinkRequest(path.text()), DecodeOneName);
  if (!target.ok()) {
    return Of(std::move(target).error(), "readlink", path);
  }
  return target;
}

Status SftpFs::MakeSymlink(const OpContext& ctx, const RemotePath& path, std::string_view target) {
  if (target.size() > kMaxPathBytes) {
    return Of(Error{Code::kNameTooLong, "the target of the link is too long", "sftp.target-too-long", Fate::kNotSent},
              "symlink", path);
  }
  Status made = client().Ask(ctx, SymlinkRequest(target, path.text()), DecodeStatus);
  if (!made.ok()) {
    return Of(FailureDiagnosis(ctx, *session_).MakeSymlink(std::move(made).error(), path), "symlink", path);
  }
  return made;
}

Status SftpFs::MakeDirectory(const OpContext& ctx, const RemotePath& path, std::uint32_t permissions) {
  Status made = client().Ask(ctx, MkdirRequest(path.text(), permissions & 07777U), DecodeStatus);
  if (!made.ok()) {
    return Of(FailureDiagnosis(ctx, *session_).MakeDirectory(std::move(made).error(), path), "mkdir", path);
  }
  return made;
}

Status SftpFs::RemoveFile(const OpContext& ctx, const RemotePath& path) {
  Status removed = client().Ask(ctx, RemoveRequest(path.text()), DecodeStatus);
  if (!removed.ok()) {
    return Of(FailureDiagnosis(ctx, *session_).RemoveFile(std::move(removed).error(), path), "remove", path);
  }
  return removed;
}

Status SftpFs::RemoveDirectory(const OpContext& ctx, const RemotePath& path) {
  Status removed = client().Ask(ctx, RmdirRequest(path.text()), DecodeStatus);
  if (!removed.ok()) {
    return Of(FailureDiagnosis(ctx, *session_).RemoveDirectory(std::move(removed).error(), path), "rmdir", path);
  }
  return removed;
}

Status SftpFs::Rename(const OpContext& ctx, const RemotePath& from, const RemotePath& to, RenameMode mode) {
  const bool replace = mode == RenameMode::kReplace && session_->server().posix_rename;
  Status renamed = client().Ask(
      ctx, replace ? PosixRenameRequest(from.text(), to.text()) : RenameRequest(from.text(), to.text()), DecodeStatus);
  if (!renamed.ok()) {
    Error error = FailureDiagnosis(ctx, *session_).Rename(std::move(renamed).error(), from, to, replace);
    return Of(std::move(error), fmt::format("rename {} to", from.text()), to);
  }
  return renamed;
}

Status SftpFs::MakeHardLink(const OpContext& ctx, const RemotePath& existing, const RemotePath& path) {
  if (!session_->server().hardlink) {
    return Of(Unsupported("the server has no hardlink@openssh.com"), "link", path);
  }
  Status linked = client().Ask(ctx, HardlinkRequest(existing.text(), path.text()), DecodeStatus);
  if (!linked.ok()) {
    Error error = FailureDiagnosis(ctx, *session_).MakeHardLink(std::move(linked).error(), existing, path);
    return Of(std::move(error), fmt::format("link {} to", existing.text()), path);
  }
  return linked;
}

Result<OpenedFile> SftpFs::Open(const OpContext& ctx, const RemotePath& path, const OpenFlags& flags,
                                std::uint32_t permissions) {
  TRY(ctx.Check(Fate::kNotSent));
  // OPEN follows symlinks and so does STAT; an exclusive OPEN does not, and LSTAT tells what was in its way.
  const bool exclusive = flags.create && flags.exclusive;
  std::vector<Request> requests;
  requests.push_back(
      OpenRequest(path.text(), WireFlags(flags), flags.create ? std::optional(permissions & 07777U) : std::nullopt));
  requests.push_back(exclusive ? LstatRequest(path.text()) : StatRequest(path.text()));
  std::vector<SftpClient::Call> calls = client().Submit(std::move(requests));

  Result<std::string> handle = client().Take(ctx, std::move(calls[0]), DecodeHandle);
  if (!handle.ok() && handle.error().fate != Fate::kAnswered) {
    return Of(std::move(handle).error(), "open", path);
  }
  std::unique_ptr<SftpFile> file;
  if (handle.ok()) {
    file = std::make_unique<SftpFile>(session_, std::move(handle).value(), path, flags.append);
  }
  Result<WireAttributes> seen = client().Take(ctx, std::move(calls[1]), DecodeAttributes);
  if (!file) {
    return Of(FailureDiagnosis(ctx, *session_).Open(std::move(handle).error(), path, flags, seen), "open", path);
  }

  // The name may be gone already, or a server may answer out of order; the handle knows.
  const bool believable = seen.ok() && seen->has_size() && !(flags.truncate && seen->values.size != 0);
  if (!believable) {
    if (!seen.ok() && seen.error().fate != Fate::kAnswered) {
      return Of(std::move(seen).error(), "open", path);
    }
    seen = client().Ask(ctx, FstatRequest(file->handle()), DecodeAttributes);
    if (!seen.ok()) {
      return Of(FailureDiagnosis::OnHandle(std::move(seen).error()), "open", path);
    }
  }
  if (seen->values.is_directory()) {
    return Of(Error{Code::kIsDirectory, "this is a directory", "sftp.is-directory"}, "open", path);
  }
  file->NoteSize(seen->values.size);
  return OpenedFile{std::move(file), seen->values};
}

Result<FsStats> SftpFs::StatFs(const OpContext& ctx, const RemotePath& path) {
  if (!session_->server().statvfs) {
    return Of(Unsupported("the server has no statvfs@openssh.com"), "statfs", path);
  }
  Result<FsStatsReply> seen = client().Ask(ctx, StatvfsRequest(path.text()), DecodeStatvfs);
  if (!seen.ok()) {
    return Of(std::move(seen).error(), "statfs", path);
  }
  return seen->stats;
}

Result<RemotePath> SftpFs::RealPath(const OpContext& ctx, std::string_view text) {
  Result<std::string> real = client().Ask(ctx, RealpathRequest(text), DecodeOneName);
  if (!real.ok()) {
    return std::move(real).error().Within(fmt::format("realpath {}", Printable(text)));
  }
  Result<RemotePath> path = RemotePath::Parse(*real);
  if (!path.ok()) {
    return client().Checked(Result<RemotePath>(Malformed("real path: it is not absolute and normal")));
  }
  return path;
}

Result<std::uint64_t> SftpFs::CopyRange(const OpContext& ctx, RemoteFile& from, std::uint64_t from_offset,
                                        RemoteFile& to, std::uint64_t to_offset, std::uint64_t length) {
  auto* source = dynamic_cast<SftpFile*>(&from);
  auto* target = dynamic_cast<SftpFile*>(&to);
  if (!session_->server().copy_data || source == nullptr || target == nullptr || source->session() != session_.get() ||
      target->session() != session_.get()) {
    return Unsupported("the server cannot copy between these files");
  }
  // OpenSSH refuses to copy within one path; an appending file would ignore the offset.
  if (source->path() == target->path() || target->append()) {
    return Unsupported("the server cannot copy into this file");
  }
  std::uint64_t copied = 0;
  for (int ends_seen = 0; copied < length && ends_seen < kMaxEndsSeen;) {
    const Attributes now = TRY(from.Stat(ctx));
    const std::uint64_t at = from_offset + copied;
    if (now.size <= at) {
      break;
    }
    const std::uint64_t chunk = std::min({length - copied, now.size - at, kLargestCopy});
    if (TRY(CopyChunk(ctx, *source, at, *target, to_offset + copied, chunk))) {
      copied += chunk;
    } else {
      ++ends_seen;  // the source shrank meanwhile: look again
    }
  }
  return copied;
}

// False: the source ended before `length`, and how much was copied is not known.
//
// OpenSSH answers OK to copy-data whatever became of the last 64 KiB, also when they could not be written for lack of
// space (its result is overwritten once the requested length is used up). So they are copied again by READ and WRITE,
// whose answers are honest. The READ travels behind the copy in the same round trip.
Result<bool> SftpFs::CopyChunk(const OpContext& ctx, SftpFile& from, std::uint64_t from_offset, SftpFile& to,
                               std::uint64_t to_offset, std::uint64_t length) {
  std::vector<std::byte> tail(static_cast<std::size_t>(std::min(length, kUncertainTail)));
  const std::uint64_t before_tail = length - tail.size();
  std::optional<SftpClient::Call> copying;
  if (before_tail > 0) {
    copying = client().Submit(CopyDataRequest(from.handle(), from_offset, length, to.handle(), to_offset));
  }
  const std::size_t got = TRY(from.Read(ctx, from_offset + before_tail, tail));
  if (copying) {
    const Result<bool> whole = client().Take(ctx, *std::move(copying), DecodeCopied);
    if (!whole.ok()) {
      return Of(FailureDiagnosis(ctx, *session_).Write(whole.error(), to.path(), to.handle(), length), "copy to",
                to.path());
    }
    if (!*whole) {
      return false;
    }
  }
  if (got < tail.size()) {
    return false;
  }
  TRY(to.Write(ctx, to_offset + before_tail, tail));
  return true;
}

}  // namespace bt::sftp
