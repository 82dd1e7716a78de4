// Decoding of replies. Every decoder turns a STATUS into the error it stands for, checks every length and count against
// the bytes at hand before allocating, and answers kProtocol ("sftp.bad-packet") for what does not fit. Bytes behind
// the last field are ignored.
//
// Threading: pure functions; what they return may point into the reply.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "transport/attributes.h"
#include "transport/base/result.h"
#include "transport/base/uninitialized_bytes.h"
#include "transport/sftp/packet.h"

namespace bt::sftp {

// One whole message from the server without its length prefix. Owned by whoever asked.
class Reply {
 public:
  // `message` has at least the type and the id.
  explicit Reply(UninitializedBytes message) : message_(std::move(message)) {}

  static constexpr std::size_t kHeaderBytes = 5;

  MessageType type() const { return static_cast<MessageType>(std::to_integer<std::uint8_t>(message_[0])); }
  std::uint32_t id() const { return LoadU32(message_.data() + 1); }
  std::span<const std::byte> whole() const { return message_; }
  std::span<const std::byte> payload() const { return std::span(message_).subspan(kHeaderBytes); }

 private:
  UninitializedBytes message_;
};

// True for STATUS EOF, which is an answer for READ, READDIR and copy-data, and an odd failure elsewhere.
bool IsEndOfFile(const Reply& reply);

// Success for STATUS OK.
Status DecodeStatus(const Reply& reply);

Result<std::string> DecodeHandle(const Reply& reply);
Result<WireAttributes> DecodeAttributes(const Reply& reply);

// The answer to READ. `end_of_file` comes without bytes, and only this says that the file ended.
struct DataReply {
  std::span<const std::byte> bytes;
  bool end_of_file = false;
};
Result<DataReply> DecodeData(const Reply& reply);

// The answer to READDIR, REALPATH and READLINK. Names are as the server sent them: any bytes.
struct NamesReply {
  struct Entry {
    std::string_view name;
    WireAttributes attributes;
  };
  std::vector<Entry> entries;
  bool end_of_directory = false;
};
Result<NamesReply> DecodeNames(const Reply& reply);
// The one name that REALPATH and READLINK answer.
Result<std::string> DecodeOneName(const Reply& reply);

struct FsStatsReply {
  FsStats stats;
  std::uint64_t fs_id = 0;
};
Result<FsStatsReply> DecodeStatvfs(const Reply& reply);

// limits@openssh.com; 0 means "not told".
struct LimitsReply {
  std::uint64_t max_packet = 0;
  std::uint64_t max_read = 0;
  std::uint64_t max_write = 0;
  std::uint64_t max_handles = 0;
};
Result<LimitsReply> DecodeLimits(const Reply& reply);

struct VersionMessage {
  std::uint32_t version = 0;
  std::vector<std::pair<std::string, std::string>> extensions;  // name and data
};
// `message` without length prefix; VERSION has no id.
Result<VersionMessage> DecodeVersion(std::span<const std::byte> message);

}  // namespace bt::sftp
