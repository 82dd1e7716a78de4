#include "transport/sftp/failure_diagnosis.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <string_view>

namespace bt::sftp {
namespace {

// What is known now, with the server's own words behind it.
Error Known(Error error, Code code, std::string_view text) {
  const std::size_t servers_words = std::min(error.text.find(" (the server: "), error.text.size());
  error.code = code;
  error.text.replace(0, servers_words, text);
  return error;
}

// Servers written in Go put the errno's text into the status message; looking comes first, this is for the rest.
Error ByText(Error error) {
  struct Hint {
    std::string_view text;
    Code code;
  };
  static constexpr std::array<Hint, 9> kHints{{{"no space left on device", Code::kNoSpace},
                                               {"disk quota exceeded", Code::kQuota},
                                               {"read-only file system", Code::kReadOnly},
                                               {"directory not empty", Code::kNotEmpty},
                                               {"file exists", Code::kExists},
                                               {"not a directory", Code::kNotDirectory},
                                               {"is a directory", Code::kIsDirectory},
                                               {"cross-device link", Code::kCrossDevice},
                                               {"file name too long", Code::kNameTooLong}}};
  std::string lower = error.text;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const Hint& hint : kHints) {
    if (lower.find(hint.text) != std::string::npos) {
      error.code = hint.code;
      return error;
    }
  }
  return error;
}

bool IsDirectory(const std::optional<WireAttributes>& seen) { return seen && seen->values.is_directory(); }

bool KnownNotDirectory(const std::optional<WireAttributes>& seen) {
  return seen && seen->has_permissions() && !seen->values.is_directory();
}

}  // namespace

Error FailureDiagnosis::OnPath(Error error, const RemotePath& path) {
  if (error.code == Code::kInvalid && path.text().size() > kMaxPathBytes) {
    return Known(std::move(error), Code::kNameTooLong, "the path is too long for the server");
  }
  return error;
}

Error FailureDiagnosis::OnHandle(Error error) {
  if (error.code == Code::kNotFound) {
    return Known(std::move(error), Code::kBadHandle, "the server does not know this open file, or not for this use");
  }
  return error;
}

std::vector<FailureDiagnosis::Sight> FailureDiagnosis::Look(const std::vector<RemotePath>& paths) {
  const bool statvfs = session_.server().statvfs;
  std::vector<Request> requests;
  for (const RemotePath& path : paths) {
    requests.push_back(LstatRequest(path.text()));
    if (statvfs) {
      requests.push_back(StatvfsRequest(path.parent().text()));
    }
  }
  SftpClient& client = session_.client();
  std::vector<SftpClient::Call> calls = client.Submit(std::move(requests));
  std::vector<Sight> sights(paths.size());
  std::size_t next = 0;
  for (Sight& sight : sights) {
    if (Result<WireAttributes> seen = client.Take(ctx_, std::move(calls[next++]), DecodeAttributes); seen.ok()) {
      sight.attributes = *seen;
    }
    if (statvfs) {
      if (Result<FsStatsReply> seen = client.Take(ctx_, std::move(calls[next++]), DecodeStatvfs); seen.ok()) {
        sight.file_system = *seen;
      }
    }
  }
  return sights;
}

std::optional<FsStatsReply> FailureDiagnosis::LookAtFileSystem(Request request) {
  Result<FsStatsReply> seen = session_.client().Ask(ctx_, std::move(request), DecodeStatvfs);
  return seen.ok() ? std::optional(*seen) : std::nullopt;
}

bool FailureDiagnosis::HasEntries(const RemotePath& directory) {
  SftpClient& client = session_.client();
  Result<std::string> opened = client.Ask(ctx_, OpendirRequest(directory.text()), DecodeHandle);
  if (!opened.ok()) {
    return false;
  }
  const ScopedHandle handle(client, std::move(opened).value());
  // "." and ".." come first as a rule, but any reply may hold nothing else.
  for (int attempt = 0; attempt < 4; ++attempt) {
    Result<Reply> reply = client.Submit(ReaddirRequest(handle.get())).Await(ctx_);
    if (!reply.ok()) {
      return false;
    }
    const Result<NamesReply> names = client.Checked(DecodeNames(*reply));
    if (!names.ok() || names->end_of_directory) {
      return false;
    }
    if (std::any_of(names->entries.begin(), names->entries.end(),
                    [](const NamesReply::Entry& entry) { return entry.name != "." && entry.name != ".."; })) {
      return true;
    }
  }
  return false;
}

Error FailureDiagnosis::LastWord(Error error) {
  error = ByText(std::move(error));
  if (error.code != Code::kFailure || !session_.client().closed()) {
    return error;
  }
  // The server said no, so nothing was done; why, the looks could no longer tell. The next connection will.
  return Error{Code::kDisconnected, error.text + "; the connection ended before the reason was known",
               "sftp.refused-then-lost", Fate::kNotSent};
}

Error FailureDiagnosis::ByFileSystem(Error error, const std::optional<FsStatsReply>& seen, std::uint64_t bytes,
                                     bool makes_name) {
  if (error.code != Code::kFailure) {
    return error;
  }
  if (seen) {
    const FsStats& stats = seen->stats;
    if (stats.read_only) {
      return Known(std::move(error), Code::kReadOnly, "the file system of the server is read-only");
    }
    // A write that filled the last blocks leaves less than it needed; nothing but files that hold data needs blocks.
    const std::uint64_t fragment = std::max<std::uint64_t>(stats.fragment_size, 1);
    const std::uint64_t needed_blocks = std::max<std::uint64_t>((bytes + fragment - 1) / fragment, 1);
    const bool needs_space = bytes > 0 || makes_name;
    if (needs_space && stats.blocks > 0 && stats.blocks_available < needed_blocks) {
      return Known(std::move(error), Code::kNoSpace, "the disk of the server is full");
    }
    if (makes_name && stats.files > 0 && stats.files_available == 0) {
      return Known(std::move(error), Code::kNoSpace, "the disk of the server has no room for another file (inodes)");
    }
  }
  return LastWord(std::move(error));
}

Error FailureDiagnosis::TooLong(Error error, const RemotePath& path, const std::optional<FsStatsReply>& seen) {
  error = OnPath(std::move(error), path);
  if (error.code != Code::kInvalid) {
    return error;
  }
  if (seen && seen->stats.name_max > 0 && path.basename().size() > seen->stats.name_max) {
    return Known(std::move(error), Code::kNameTooLong,
                 fmt::format("the server takes names of at most {} bytes here", seen->stats.name_max));
  }
  return error;
}

Error FailureDiagnosis::MakeName(Error error, const RemotePath& path) {
  if (error.code != Code::kFailure && error.code != Code::kInvalid) {
    return error;
  }
  const std::vector<Sight> sights = Look({path});
  if (error.code == Code::kFailure && sights[0].attributes) {
    return Known(std::move(error), Code::kExists, "the name exists already");
  }
  error = TooLong(std::move(error), path, sights[0].file_system);
  return ByFileSystem(std::move(error), sights[0].file_system, 0, true);
}

Error FailureDiagnosis::Open(Error error, const RemotePath& path, const OpenFlags& flags,
                             const Result<WireAttributes>& seen) {
  if (error.code == Code::kFailure) {
    if (flags.create && flags.exclusive && seen.ok()) {
      return Known(std::move(error), Code::kExists, "the name exists already");
    }
    if (seen.ok() && seen.value().values.is_directory()) {
      return Known(std::move(error), Code::kIsDirectory, "this is a directory");
    }
    if (session_.handles_exhausted()) {
      return Known(std::move(error), Code::kTooManyHandles, "the server has no file handle left");
    }
  }
  const bool changes = flags.write || flags.create || flags.truncate;
  const bool may_be_space = error.code == Code::kFailure && changes;
  const bool may_be_name = error.code == Code::kInvalid && flags.create;
  std::optional<FsStatsReply> file_system;
  if (session_.server().statvfs && (may_be_space || may_be_name)) {
    file_system = LookAtFileSystem(StatvfsRequest(path.parent().text()));
  }
  error = TooLong(std::move(error), path, file_system);
  return ByFileSystem(std::move(error), file_system, 0, flags.create);
}

Error FailureDiagnosis::Write(Error error, const RemotePath& path, const std::string& handle, std::uint64_t bytes) {
  if (error.code != Code::kFailure) {
    return OnHandle(std::move(error));
  }
  std::optional<FsStatsReply> file_system;
  if (session_.server().fstatvfs) {
    file_system = LookAtFileSystem(FstatvfsRequest(handle));
  } else if (session_.server().statvfs) {
    file_system = LookAtFileSystem(StatvfsRequest(path.parent().text()));
  }
  return ByFileSystem(std::move(error), file_system, bytes, false);
}

Error FailureDiagnosis::MakeHardLink(Error error, const RemotePath& existing, const RemotePath& path) {
  if (error.code != Code::kFailure && error.code != Code::kInvalid) {
    return error;
  }
  const std::vector<Sight> sights = Look({existing, path});
  if (error.code == Code::kFailure) {
    if (sights[1].attributes) {
      return Known(std::move(error), Code::kExists, "the name exists already");
    }
    if (sights[0].file_system && sights[1].file_system &&
        sights[0].file_system->fs_id != sights[1].file_system->fs_id) {
      return Known(std::move(error), Code::kCrossDevice, "the two names are on different file systems of the server");
    }
  }
  error = TooLong(std::move(error), path, sights[1].file_system);
  return ByFileSystem(std::move(error), sights[1].file_system, 0, true);
}

Error FailureDiagnosis::Rename(Error error, const RemotePath& from, const RemotePath& to, bool replace) {
  // NO_SUCH_FILE too: it is the answer to ENOTDIR, a directory that was to replace a file.
  if (error.code != Code::kFailure && error.code != Code::kInvalid && error.code != Code::kNotFound) {
    return error;
  }
  const std::vector<Sight> sights = Look({from, to});
  const Sight& source = sights[0];
  const Sight& target = sights[1];
  if (error.code == Code::kNotFound) {
    return replace && IsDirectory(source.attributes) && KnownNotDirectory(target.attributes)
               ? Known(std::move(error), Code::kNotDirectory, "a directory cannot replace what is not one")
               : error;
  }
  if (error.code == Code::kFailure) {
    if (!replace && target.attributes) {
      return Known(std::move(error), Code::kExists, "the target exists already");
    }
    if (source.file_system && target.file_system && source.file_system->fs_id != target.file_system->fs_id) {
      return Known(std::move(error), Code::kCrossDevice, "the two names are on different file systems of the server");
    }
    if (IsDirectory(target.attributes) && KnownNotDirectory(source.attributes)) {
      return Known(std::move(error), Code::kIsDirectory, "a file cannot replace a directory");
    }
    if (IsDirectory(source.attributes) && KnownNotDirectory(target.attributes)) {
      return Known(std::move(error), Code::kNotDirectory, "a directory cannot replace what is not one");
    }
    if (IsDirectory(target.attributes) && HasEntries(to)) {
      return Known(std::move(error), Code::kNotEmpty, "the directory to replace is not empty");
    }
  }
  error = TooLong(std::move(error), to, target.file_system);
  return ByFileSystem(std::move(error), target.file_system, 0, true);
}

Error FailureDiagnosis::RemoveFile(Error error, const RemotePath& path) {
  if (error.code != Code::kFailure) {
    return error;
  }
  const std::vector<Sight> sights = Look({path});
  if (IsDirectory(sights[0].attributes)) {
    return Known(std::move(error), Code::kIsDirectory, "this is a directory");
  }
  return ByFileSystem(std::move(error), sights[0].file_system, 0, false);
}

Error FailureDiagnosis::RemoveDirectory(Error error, const RemotePath& path) {
  if (error.code != Code::kFailure && error.code != Code::kNotFound) {
    return error;
  }
  const std::vector<Sight> sights = Look({path});
  if (KnownNotDirectory(sights[0].attributes)) {
    return Known(std::move(error), Code::kNotDirectory, "this is not a directory");
  }
  if (error.code == Code::kFailure && IsDirectory(sights[0].attributes) && HasEntries(path)) {
    return Known(std::move(error), Code::kNotEmpty, "the directory is not empty");
  }
  return ByFileSystem(std::move(error), sights[0].file_system, 0, false);
}

Error FailureDiagnosis::ReadDirectory(Error error, const RemotePath& path) {
  if (error.code != Code::kFailure && error.code != Code::kNotFound) {
    return error;
  }
  // STAT, because OPENDIR follows a symlink too.
  const Result<WireAttributes> seen = session_.client().Ask(ctx_, StatRequest(path.text()), DecodeAttributes);
  if (seen.ok() && seen->has_permissions() && !seen->values.is_directory()) {
    return Known(std::move(error), Code::kNotDirectory, "this is not a directory");
  }
  if (error.code == Code::kFailure && session_.handles_exhausted()) {
    return Known(std::move(error), Code::kTooManyHandles, "the server has no file handle left");
  }
  return error.code == Code::kFailure ? LastWord(std::move(error)) : error;
}

Error FailureDiagnosis::SetAttributes(Error error, const RemotePath& path, const AttributeChange& change) {
  // Whoever may not reach the file has been told so by the lookup; what is left for mode, owner and times is EPERM,
  // which cp, tar and rsync treat differently from EACCES.
  if (error.code == Code::kPermissionDenied && !change.size) {
    return Known(std::move(error), Code::kNotPermitted, "only the owner may change this");
  }
  if (error.code != Code::kFailure || !session_.server().statvfs) {
    return error.code == Code::kFailure ? LastWord(std::move(error)) : error;
  }
  const std::optional<FsStatsReply> file_system = LookAtFileSystem(StatvfsRequest(path.text()));
  return ByFileSystem(std::move(error), file_system, 0, false);
}

}  // namespace bt::sftp
