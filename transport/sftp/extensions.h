// What a server offers beyond SFTP v3, and how much it takes at once.
//
// Threading: plain values and pure functions.
#pragma once

#include <cstddef>
#include <cstdint>

#include "transport/remote_fs.h"
#include "transport/sftp/replies.h"

namespace bt::sftp {

struct ServerFeatures {
  bool posix_rename = false;
  bool hardlink = false;
  bool fsync = false;
  bool statvfs = false;
  bool fstatvfs = false;
  bool lsetstat = false;
  bool limits = false;
  bool expand_path = false;
  bool copy_data = false;

  std::size_t max_read = kDefaultTransfer;  // bytes of one READ or WRITE
  std::size_t max_write = kDefaultTransfer;
  // OpenSSH works on one request of a channel after the other, and nobody else offers lsetstat@openssh.com. Servers
  // that run writes side by side (pkg/sftp) would let what is sent behind a write overtake it.
  bool in_order() const { return lsetstat; }

  bool told_limits = false;
  std::uint64_t max_handles = 0;  // 0: not told

  // "All servers SHOULD support packets of at least 34000 bytes" (section 3).
  static constexpr std::size_t kDefaultTransfer = 32768;
  static constexpr std::size_t kMinTransfer = 4096;
  static constexpr std::size_t kMaxTransfer = kMaxRequestBytes - 1024;  // OpenSSH's own limit

  RemoteCapabilities capabilities() const;
};

// An extension counts only in the version that is spoken here.
ServerFeatures ParseExtensions(const VersionMessage& version);

// Takes over what the server said, within what is sane: between kMinTransfer and kMaxTransfer.
void ApplyLimits(const LimitsReply& limits, ServerFeatures& features);

}  // namespace bt::sftp
