// The server's attributes as the mount shows them, and back: owner, mode, times, and who may do what.
//
// Threading: immutable.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>

#include "fs/filesystem.h"

namespace bt {

class AttributeView {
 public:
  explicit AttributeView(const FilesystemOptions& options);

  // With OwnerMap::kUser the remote user's number becomes the mounting user's and the other way round; other numbers
  // are the same on both sides.
  uid_t ShownUid(std::uint32_t remote) const;
  gid_t ShownGid(std::uint32_t remote) const;
  std::uint32_t RemoteUid(uid_t shown) const;
  std::uint32_t RemoteGid(gid_t shown) const;

  // SFTP v3 knows no inode number, link count, change time or block count: st_ctime is st_mtime, and st_blocks is what
  // the size needs.
  struct stat Show(const Attributes& attributes, ino_t number, nlink_t links) const;

  // access(2) for a caller: success, kPermissionDenied, or kReadOnly. `mask` is R_OK | W_OK | X_OK or F_OK. Decides by
  // the owner and mode that are shown; the server decides again, by its own, when the thing is done. Only the caller's
  // primary group is known.
  Status Access(const Attributes& attributes, int mask, uid_t uid, gid_t gid) const;

 private:
  const uid_t uid_;
  const gid_t gid_;
  const std::uint32_t remote_uid_;
  const std::uint32_t remote_gid_;
  const bool map_owner_;
  const mode_t umask_;
  const bool read_only_;
};

// The wire has 32 unsigned bits of seconds: what lies outside becomes the nearest time that can be said, as Linux does
// it for file systems with a small range.
std::int64_t ClampToWire(std::int64_t seconds);

}  // namespace bt
