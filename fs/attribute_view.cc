#include "fs/attribute_view.h"

#include <unistd.h>

#include <algorithm>
#include <limits>

namespace bt {

AttributeView::AttributeView(const FilesystemOptions& options)
    : uid_(options.uid),
      gid_(options.gid),
      remote_uid_(options.remote_uid),
      remote_gid_(options.remote_gid),
      map_owner_(options.owner_map == OwnerMap::kUser),
      umask_(options.umask.value_or(0) & 0777U),
      read_only_(options.read_only) {}

uid_t AttributeView::ShownUid(std::uint32_t remote) const {
  return map_owner_ && remote == remote_uid_ ? uid_ : remote;
}

gid_t AttributeView::ShownGid(std::uint32_t remote) const {
  return map_owner_ && remote == remote_gid_ ? gid_ : remote;
}

std::uint32_t AttributeView::RemoteUid(uid_t shown) const { return map_owner_ && shown == uid_ ? remote_uid_ : shown; }

std::uint32_t AttributeView::RemoteGid(gid_t shown) const { return map_owner_ && shown == gid_ ? remote_gid_ : shown; }

struct stat AttributeView::Show(const Attributes& attributes, ino_t number, nlink_t links) const {
  struct stat shown {};
  shown.st_ino = number;
  shown.st_nlink = links;
  shown.st_mode = attributes.mode & ~umask_;
  shown.st_uid = ShownUid(attributes.uid);
  shown.st_gid = ShownGid(attributes.gid);
  shown.st_size = static_cast<off_t>(
      std::min<std::uint64_t>(attributes.size, static_cast<std::uint64_t>(std::numeric_limits<off_t>::max())));
  shown.st_blksize = 4096;
  shown.st_blocks = shown.st_size / 512 + (shown.st_size % 512 != 0 ? 1 : 0);
  shown.st_atim.tv_sec = attributes.atime;
  shown.st_mtim.tv_sec = attributes.mtime;
  shown.st_ctim.tv_sec = attributes.mtime;
  return shown;
}

Status AttributeView::Access(const Attributes& attributes, int mask, uid_t uid, gid_t gid) const {
  if ((mask & W_OK) != 0 && read_only_ &&
      (attributes.is_regular() || attributes.is_directory() || attributes.is_symlink())) {
    return Error{Code::kReadOnly, "the mount is read-only", "fs.read-only"};
  }
  const mode_t mode = attributes.mode & ~umask_;
  // Root on the server may do anything, and that is who acts for the mounting user then; so may root here.
  const bool as_root = uid == 0 || (uid == uid_ && remote_uid_ == 0);
  mode_t granted = 0;
  if (as_root) {
    granted = R_OK | W_OK;
    if (attributes.is_directory() || (mode & 0111U) != 0) {
      granted |= X_OK;
    }
  } else if (uid == ShownUid(attributes.uid)) {
    granted = (mode >> 6U) & 7U;
  } else if (gid == ShownGid(attributes.gid)) {
    granted = (mode >> 3U) & 7U;
  } else {
    granted = mode & 7U;
  }
  if ((static_cast<mode_t>(mask) & 7U & ~granted) != 0) {
    return Error{Code::kPermissionDenied, "the file's mode does not allow it", "fs.access"};
  }
  return {};
}

std::int64_t ClampToWire(std::int64_t seconds) {
  return std::clamp<std::int64_t>(seconds, 0, std::numeric_limits<std::uint32_t>::max());
}

}  // namespace bt
