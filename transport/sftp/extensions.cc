#include "transport/sftp/extensions.h"

#include <algorithm>
#include <array>

namespace bt::sftp {
namespace {

struct Known {
  std::string_view name;
  std::string_view version;
  bool ServerFeatures::*flag;
};

constexpr std::array<Known, 9> kKnown{{
    {kExtPosixRename, "1", &ServerFeatures::posix_rename},
    {kExtHardlink, "1", &ServerFeatures::hardlink},
    {kExtFsync, "1", &ServerFeatures::fsync},
    {kExtStatvfs, "2", &ServerFeatures::statvfs},
    {kExtFstatvfs, "2", &ServerFeatures::fstatvfs},
    {kExtLsetstat, "1", &ServerFeatures::lsetstat},
    {kExtLimits, "1", &ServerFeatures::limits},
    {kExtExpandPath, "1", &ServerFeatures::expand_path},
    {kExtCopyData, "1", &ServerFeatures::copy_data},
}};

constexpr std::uint64_t kPacketOverhead = 1024;  // more than the fields around the data of a READ or WRITE

std::size_t Transfer(std::uint64_t told, std::uint64_t max_packet) {
  if (told == 0) {
    told = ServerFeatures::kDefaultTransfer;
  }
  if (max_packet > kPacketOverhead) {
    told = std::min(told, max_packet - kPacketOverhead);
  }
  return static_cast<std::size_t>(
      std::clamp<std::uint64_t>(told, ServerFeatures::kMinTransfer, ServerFeatures::kMaxTransfer));
}

}  // namespace

RemoteCapabilities ServerFeatures::capabilities() const {
  RemoteCapabilities capabilities;
  capabilities.posix_rename = posix_rename;
  capabilities.hardlink = hardlink;
  capabilities.fsync = fsync;
  capabilities.statvfs = statvfs;
  capabilities.lsetstat = lsetstat;
  capabilities.copy_data = copy_data;
  capabilities.max_read = max_read;
  capabilities.max_write = max_write;
  capabilities.max_handles = max_handles;
  return capabilities;
}

ServerFeatures ParseExtensions(const VersionMessage& version) {
  ServerFeatures features;
  for (const auto& [name, data] : version.extensions) {
    for (const Known& known : kKnown) {
      if (name == known.name && data == known.version) {
        features.*known.flag = true;
      }
    }
  }
  return features;
}

void ApplyLimits(const LimitsReply& limits, ServerFeatures& features) {
  features.told_limits = true;
  features.max_read = Transfer(limits.max_read, limits.max_packet);
  features.max_write = Transfer(limits.max_write, limits.max_packet);
  features.max_handles = limits.max_handles;
}

}  // namespace bt::sftp
