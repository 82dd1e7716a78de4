// What SFTP v3 knows of a file: size, owner, mode, access and modification time in whole seconds. There is no inode
// number, no link count, no change time and no nanosecond (draft-ietf-secsh-filexfer-02, section 5).
//
// Threading: plain values.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "transport/remote_path.h"

namespace bt {

struct Attributes {
  std::uint64_t size = 0;  // bytes
  std::uint32_t uid = 0;   // the server's numbers
  std::uint32_t gid = 0;
  std::uint32_t mode = 0;  // file type and permission bits, as st_mode
  std::int64_t atime = 0;  // seconds since 1970; the wire has 32 unsigned bits
  std::int64_t mtime = 0;

  bool is_directory() const { return S_ISDIR(mode); }
  bool is_regular() const { return S_ISREG(mode); }
  bool is_symlink() const { return S_ISLNK(mode); }

  bool operator==(const Attributes&) const = default;
};

// What to change; each part travels as one SFTP attribute flag, so owner and times come in pairs.
struct AttributeChange {
  struct Owner {
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    bool operator==(const Owner&) const = default;
  };
  struct Times {
    std::int64_t atime = 0;  // seconds
    std::int64_t mtime = 0;
    bool operator==(const Times&) const = default;
  };

  std::optional<std::uint64_t> size;
  std::optional<Owner> owner;
  std::optional<std::uint32_t> permissions;  // 07777
  std::optional<Times> times;

  bool empty() const { return !size && !owner && !permissions && !times; }
};

// What `attributes` are after `change`, on a server that does as told and changes nothing else.
inline void Apply(const AttributeChange& change, Attributes& attributes) {
  if (change.size) {
    attributes.size = *change.size;
  }
  if (change.owner) {
    attributes.uid = change.owner->uid;
    attributes.gid = change.owner->gid;
  }
  if (change.permissions) {
    attributes.mode = (attributes.mode & S_IFMT) | *change.permissions;
  }
  if (change.times) {
    attributes.atime = change.times->atime;
    attributes.mtime = change.times->mtime;
  }
}

// `into` becomes both changes, one after the other.
inline void Merge(const AttributeChange& later, AttributeChange& into) {
  into.size = later.size ? later.size : into.size;
  into.owner = later.owner ? later.owner : into.owner;
  into.permissions = later.permissions ? later.permissions : into.permissions;
  into.times = later.times ? later.times : into.times;
}

struct DirEntry {
  Name name;
  Attributes attributes;  // of the entry itself (lstat)
};

// Space and limits of a file system, as statvfs(3). Sizes in bytes unless named otherwise.
struct FsStats {
  std::uint64_t block_size = 4096;
  std::uint64_t fragment_size = 4096;  // unit of the three block counts
  std::uint64_t blocks = 0;
  std::uint64_t blocks_free = 0;
  std::uint64_t blocks_available = 0;
  std::uint64_t files = 0;
  std::uint64_t files_free = 0;
  std::uint64_t files_available = 0;
  std::uint64_t name_max = Name::kMaxBytes;
  bool read_only = false;
};

}  // namespace bt
