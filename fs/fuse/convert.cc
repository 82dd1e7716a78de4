#include "fs/fuse/convert.h"

#include <cerrno>
#include <cstdio>  // RENAME_NOREPLACE

namespace bt::fuse {

int ToErrno(Code code) {
  switch (code) {
    case Code::kNotFound:
      return ENOENT;
    case Code::kPermissionDenied:
      return EACCES;
    case Code::kNotPermitted:
      return EPERM;
    case Code::kExists:
      return EEXIST;
    case Code::kNotEmpty:
      return ENOTEMPTY;
    case Code::kNotDirectory:
      return ENOTDIR;
    case Code::kIsDirectory:
      return EISDIR;
    case Code::kNoSpace:
      return ENOSPC;
    case Code::kQuota:
      return EDQUOT;
    case Code::kReadOnly:
      return EROFS;
    case Code::kNameTooLong:
      return ENAMETOOLONG;
    case Code::kCrossDevice:
      return EXDEV;
    case Code::kTooBig:
      return EFBIG;
    case Code::kInvalid:
      return EINVAL;
    case Code::kUnsupported:
      // Never ENOSYS: the kernel would take it as "this operation does not exist" for the rest of the mount.
      return EOPNOTSUPP;
    case Code::kStale:
      return ESTALE;
    case Code::kBadHandle:
      return EBADF;
    case Code::kTooManyHandles:
      return EMFILE;
    case Code::kLoop:
      return ELOOP;
    case Code::kFailure:
      return EIO;
    case Code::kTimedOut:
      return ETIMEDOUT;
    case Code::kInterrupted:
      return EINTR;
    case Code::kDisconnected:
      // Not ENOTCONN: that is how a mount whose daemon is gone looks like, and this one is alive.
      return EIO;
    case Code::kProtocol:
      return EIO;
    case Code::kUnavailable:
      return EIO;
    case Code::kRefused:
      return EACCES;
    case Code::kNotRunning:
      return EIO;
    case Code::kConfig:
      return EINVAL;
    case Code::kInternal:
      return EIO;
  }
  return EIO;
}

double ToSeconds(std::chrono::milliseconds duration) { return std::chrono::duration<double>(duration).count(); }

fuse_entry_param ToEntryParam(const Entry& entry) {
  fuse_entry_param param{};
  param.ino = static_cast<fuse_ino_t>(entry.inode);
  param.attr = entry.attributes;
  param.attr_timeout = ToSeconds(entry.ttl);
  param.entry_timeout = ToSeconds(entry.ttl);
  return param;
}

struct statvfs ToStatvfs(const FsStats& stats) {
  struct statvfs out {};
  out.f_bsize = stats.block_size;
  out.f_frsize = stats.fragment_size;
  out.f_blocks = stats.blocks;
  out.f_bfree = stats.blocks_free;
  out.f_bavail = stats.blocks_available;
  out.f_files = stats.files;
  out.f_ffree = stats.files_free;
  out.f_favail = stats.files_available;
  out.f_namemax = stats.name_max;
  out.f_flag = stats.read_only ? static_cast<unsigned long>(ST_RDONLY) : 0UL;
  return out;
}

SetAttributesRequest ToSetAttributes(const struct stat& values, int to_set) {
  using Kind = SetAttributesRequest::TimeKind;
  const auto asked = [to_set](int flag) { return (to_set & flag) != 0; };
  SetAttributesRequest request;
  if (asked(FUSE_SET_ATTR_SIZE)) {
    request.size = static_cast<std::uint64_t>(values.st_size);
  }
  if (asked(FUSE_SET_ATTR_MODE)) {
    request.permissions = values.st_mode & 07777U;
  }
  if (asked(FUSE_SET_ATTR_UID)) {
    request.uid = values.st_uid;
  }
  if (asked(FUSE_SET_ATTR_GID)) {
    request.gid = values.st_gid;
  }
  // The kernel sets both flags for "now": _NOW alone decides.
  if (asked(FUSE_SET_ATTR_ATIME_NOW)) {
    request.atime.kind = Kind::kNow;
  } else if (asked(FUSE_SET_ATTR_ATIME)) {
    request.atime = {Kind::kSet, values.st_atim};
  }
  if (asked(FUSE_SET_ATTR_MTIME_NOW)) {
    request.mtime.kind = Kind::kNow;
  } else if (asked(FUSE_SET_ATTR_MTIME)) {
    request.mtime = {Kind::kSet, values.st_mtim};
  }
  return request;
}

Result<RenameMode> ToRenameMode(unsigned flags) {
  if (flags == 0) {
    return RenameMode::kReplace;
  }
  if (flags == RENAME_NOREPLACE) {
    return RenameMode::kNoReplace;
  }
  return Error{Code::kInvalid, "only RENAME_NOREPLACE can be asked of an SFTP server", "fuse.rename-flags"};
}

std::string Printable(std::string_view name) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  out.reserve(name.size());
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\\') {
      out += "\\\\";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\x";
      out += kHex[byte >> 4U];
      out += kHex[byte & 15U];
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace bt::fuse
