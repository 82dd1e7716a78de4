#include "transport/sftp/requests.h"

#include "transport/sftp/packet.h"

namespace bt::sftp {
namespace {

constexpr std::size_t kAttributesRoom = 32;  // no change needs more

// A writer whose id is still 0; `room` for what follows the id.
PacketWriter Begin(MessageType type, std::size_t room) {
  PacketWriter writer(type, 4 + room);
  writer.U32(0);
  return writer;
}

PacketWriter BeginExtended(std::string_view name, std::size_t room) {
  PacketWriter writer = Begin(MessageType::kExtended, 4 + name.size() + room);
  writer.String(name);
  return writer;
}

Request OneString(MessageType type, std::string_view text, MessageType reply) {
  return {Begin(type, 4 + text.size()).String(text).Take(), reply};
}

Request TwoStrings(MessageType type, std::string_view first, std::string_view second) {
  return {Begin(type, 8 + first.size() + second.size()).String(first).String(second).Take(), MessageType::kStatus};
}

Request ExtendedOne(std::string_view name, std::string_view text, MessageType reply) {
  return {BeginExtended(name, 4 + text.size()).String(text).Take(), reply};
}

Request ExtendedTwo(std::string_view name, std::string_view first, std::string_view second) {
  return {BeginExtended(name, 8 + first.size() + second.size()).String(first).String(second).Take(),
          MessageType::kStatus};
}

Request WithChange(MessageType type, std::string_view text, const AttributeChange& change) {
  return {Begin(type, 4 + text.size() + kAttributesRoom).String(text).Change(change).Take(), MessageType::kStatus};
}

}  // namespace

Request OpenRequest(std::string_view path, std::uint32_t flags, std::optional<std::uint32_t> permissions) {
  AttributeChange attributes;
  attributes.permissions = permissions;
  return {
      Begin(MessageType::kOpen, 8 + path.size() + kAttributesRoom).String(path).U32(flags).Change(attributes).Take(),
      MessageType::kHandle};
}

Request CloseRequest(std::string_view handle) { return OneString(MessageType::kClose, handle, MessageType::kStatus); }

Request ReadRequest(std::string_view handle, std::uint64_t offset, std::uint32_t length) {
  return {Begin(MessageType::kRead, 16 + handle.size()).String(handle).U64(offset).U32(length).Take(),
          MessageType::kData};
}

Request WriteRequest(std::string_view handle, std::uint64_t offset, std::span<const std::byte> bytes) {
  return {Begin(MessageType::kWrite, 16 + handle.size() + bytes.size()).String(handle).U64(offset).Bytes(bytes).Take(),
          MessageType::kStatus};
}

Request LstatRequest(std::string_view path) { return OneString(MessageType::kLstat, path, MessageType::kAttrs); }
Request StatRequest(std::string_view path) { return OneString(MessageType::kStat, path, MessageType::kAttrs); }
Request FstatRequest(std::string_view handle) { return OneString(MessageType::kFstat, handle, MessageType::kAttrs); }

Request SetstatRequest(std::string_view path, const AttributeChange& change) {
  return WithChange(MessageType::kSetstat, path, change);
}

Request FsetstatRequest(std::string_view handle, const AttributeChange& change) {
  return WithChange(MessageType::kFsetstat, handle, change);
}

Request OpendirRequest(std::string_view path) { return OneString(MessageType::kOpendir, path, MessageType::kHandle); }
Request ReaddirRequest(std::string_view handle) { return OneString(MessageType::kReaddir, handle, MessageType::kName); }
Request RemoveRequest(std::string_view path) { return OneString(MessageType::kRemove, path, MessageType::kStatus); }

Request MkdirRequest(std::string_view path, std::uint32_t permissions) {
  AttributeChange attributes;
  attributes.permissions = permissions;
  return WithChange(MessageType::kMkdir, path, attributes);
}

Request RmdirRequest(std::string_view path) { return OneString(MessageType::kRmdir, path, MessageType::kStatus); }
Request RealpathRequest(std::string_view path) { return OneString(MessageType::kRealpath, path, MessageType::kName); }

Request RenameRequest(std::string_view from, std::string_view to) { return TwoStrings(MessageType::kRename, from, to); }

Request ReadlinkRequest(std::string_view path) { return OneString(MessageType::kReadlink, path, MessageType::kName); }

Request SymlinkRequest(std::string_view target, std::string_view link) {
  return TwoStrings(MessageType::kSymlink, target, link);
}

Request LimitsRequest() { return {BeginExtended(kExtLimits, 0).Take(), MessageType::kExtendedReply}; }

Request PosixRenameRequest(std::string_view from, std::string_view to) {
  return ExtendedTwo(kExtPosixRename, from, to);
}

Request HardlinkRequest(std::string_view existing, std::string_view link) {
  return ExtendedTwo(kExtHardlink, existing, link);
}

Request FsyncRequest(std::string_view handle) { return ExtendedOne(kExtFsync, handle, MessageType::kStatus); }
Request StatvfsRequest(std::string_view path) { return ExtendedOne(kExtStatvfs, path, MessageType::kExtendedReply); }

Request FstatvfsRequest(std::string_view handle) {
  return ExtendedOne(kExtFstatvfs, handle, MessageType::kExtendedReply);
}

Request LsetstatRequest(std::string_view path, const AttributeChange& change) {
  return {BeginExtended(kExtLsetstat, 4 + path.size() + kAttributesRoom).String(path).Change(change).Take(),
          MessageType::kStatus};
}

Request CopyDataRequest(std::string_view from_handle, std::uint64_t from_offset, std::uint64_t length,
                        std::string_view to_handle, std::uint64_t to_offset) {
  return {BeginExtended(kExtCopyData, 32 + from_handle.size() + to_handle.size())
              .String(from_handle)
              .U64(from_offset)
              .U64(length)
              .String(to_handle)
              .U64(to_offset)
              .Take(),
          MessageType::kStatus};
}

std::vector<std::byte> InitMessage() { return PacketWriter(MessageType::kInit, 4).U32(kProtocolVersion).Take(); }

}  // namespace bt::sftp
