#include "transport/sftp/replies.h"

#include "transport/sftp/errors.h"

namespace bt::sftp {
namespace {

constexpr std::uint64_t kStatvfsReadOnly = 1;  // of f_flag, as SSH2_FXE_STATVFS_ST_RDONLY
constexpr std::size_t kMinEntryBytes = 12;     // two empty strings and no attributes

struct StatusReply {
  StatusCode code = StatusCode::kOk;
  std::string_view message;
};

Result<StatusReply> ReadStatus(const Reply& reply) {
  PacketReader reader(reply.payload());
  const auto code = static_cast<StatusCode>(reader.U32());
  if (!reader.ok()) {
    return Malformed("status");
  }
  // Servers of version 2 and some of version 3 end the message here.
  return StatusReply{code, reader.remaining() == 0 ? std::string_view() : reader.String()};
}

// The error that a reply other than `wanted` stands for.
Error NotThe(const Reply& reply, std::string_view wanted) {
  if (reply.type() != MessageType::kStatus) {
    return Malformed(wanted);
  }
  Result<StatusReply> status = ReadStatus(reply);
  if (!status) {
    return std::move(status).error();
  }
  if (status->code == StatusCode::kOk) {
    return Malformed(wanted);  // success without the answer
  }
  return StatusError(status->code, status->message);
}

}  // namespace

bool IsEndOfFile(const Reply& reply) {
  if (reply.type() != MessageType::kStatus) {
    return false;
  }
  const Result<StatusReply> status = ReadStatus(reply);
  return status.ok() && status->code == StatusCode::kEof;
}

Status DecodeStatus(const Reply& reply) {
  if (reply.type() != MessageType::kStatus) {
    return Malformed("status");
  }
  const StatusReply status = TRY(ReadStatus(reply));
  if (status.code == StatusCode::kOk) {
    return {};
  }
  return StatusError(status.code, status.message);
}

Result<std::string> DecodeHandle(const Reply& reply) {
  if (reply.type() != MessageType::kHandle) {
    return NotThe(reply, "handle");
  }
  PacketReader reader(reply.payload());
  const std::string_view handle = reader.String();
  if (!reader.ok() || handle.size() > kMaxHandleBytes) {
    return Malformed("handle");
  }
  return std::string(handle);
}

Result<WireAttributes> DecodeAttributes(const Reply& reply) {
  if (reply.type() != MessageType::kAttrs) {
    return NotThe(reply, "attributes reply");
  }
  PacketReader reader(reply.payload());
  const WireAttributes attributes = reader.ReadAttributes();
  if (!reader.ok()) {
    return Malformed("attributes reply");
  }
  return attributes;
}

Result<DataReply> DecodeData(const Reply& reply) {
  if (IsEndOfFile(reply)) {
    return DataReply{{}, true};
  }
  if (reply.type() != MessageType::kData) {
    return NotThe(reply, "data reply");
  }
  PacketReader reader(reply.payload());
  const std::span<const std::byte> bytes = reader.Bytes();
  if (!reader.ok()) {
    return Malformed("data reply");
  }
  return DataReply{bytes, false};
}

Result<NamesReply> DecodeNames(const Reply& reply) {
  NamesReply names;
  if (IsEndOfFile(reply)) {
    names.end_of_directory = true;
    return names;
  }
  if (reply.type() != MessageType::kName) {
    return NotThe(reply, "name reply");
  }
  PacketReader reader(reply.payload());
  const std::uint32_t count = reader.U32();
  if (!reader.ok() || count > reader.remaining() / kMinEntryBytes) {
    return Malformed("name reply");
  }
  names.entries.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    NamesReply::Entry entry;
    entry.name = reader.String();
    reader.String();  // the line that ls -l would print: for people, in no fixed form
    entry.attributes = reader.ReadAttributes();
    names.entries.push_back(entry);
  }
  if (!reader.ok()) {
    return Malformed("name reply");
  }
  return names;
}

Result<std::string> DecodeOneName(const Reply& reply) {
  if (reply.type() != MessageType::kName) {
    return NotThe(reply, "name reply");
  }
  const NamesReply names = TRY(DecodeNames(reply));
  if (names.entries.size() != 1) {
    return Malformed("name reply");
  }
  return std::string(names.entries.front().name);
}

Result<FsStatsReply> DecodeStatvfs(const Reply& reply) {
  if (reply.type() != MessageType::kExtendedReply) {
    return NotThe(reply, "statvfs reply");
  }
  PacketReader reader(reply.payload());
  FsStatsReply answer;
  FsStats& stats = answer.stats;
  stats.block_size = reader.U64();
  stats.fragment_size = reader.U64();
  stats.blocks = reader.U64();
  stats.blocks_free = reader.U64();
  stats.blocks_available = reader.U64();
  stats.files = reader.U64();
  stats.files_free = reader.U64();
  stats.files_available = reader.U64();
  answer.fs_id = reader.U64();
  stats.read_only = (reader.U64() & kStatvfsReadOnly) != 0;
  stats.name_max = reader.U64();
  if (!reader.ok()) {
    return Malformed("statvfs reply");
  }
  return answer;
}

Result<LimitsReply> DecodeLimits(const Reply& reply) {
  if (reply.type() != MessageType::kExtendedReply) {
    return NotThe(reply, "limits reply");
  }
  PacketReader reader(reply.payload());
  LimitsReply limits;
  limits.max_packet = reader.U64();
  limits.max_read = reader.U64();
  limits.max_write = reader.U64();
  limits.max_handles = reader.U64();
  if (!reader.ok()) {
    return Malformed("limits reply");
  }
  return limits;
}

Result<VersionMessage> DecodeVersion(std::span<const std::byte> message) {
  PacketReader reader(message);
  const auto type = static_cast<MessageType>(reader.U8());
  VersionMessage version;
  version.version = reader.U32();
  if (!reader.ok() || type != MessageType::kVersion) {
    return Malformed("version message");
  }
  while (reader.remaining() > 0) {
    const std::string_view name = reader.String();
    const std::string_view data = reader.String();
    if (!reader.ok()) {
      return Malformed("version message");
    }
    version.extensions.emplace_back(name, data);
  }
  return version;
}

}  // namespace bt::sftp
