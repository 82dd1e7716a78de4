// Every request of SFTP v3 and of the extensions, as a message ready to send but for its id.
//
// Threading: pure functions and plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "transport/attributes.h"
#include "transport/sftp/protocol.h"

namespace bt::sftp {

struct Request {
  std::vector<std::byte> message;                     // length prefix, type, room for the id, arguments
  MessageType expected_reply = MessageType::kStatus;  // or a STATUS, always

  static constexpr std::size_t kIdOffset = 5;
};

// Paths are bytes for the server; nothing is checked here.
Request OpenRequest(std::string_view path, std::uint32_t flags, std::optional<std::uint32_t> permissions);
Request CloseRequest(std::string_view handle);
Request ReadRequest(std::string_view handle, std::uint64_t offset, std::uint32_t length);
Request WriteRequest(std::string_view handle, std::uint64_t offset, std::span<const std::byte> bytes);
Request LstatRequest(std::string_view path);
Request StatRequest(std::string_view path);
Request FstatRequest(std::string_view handle);
Request SetstatRequest(std::string_view path, const AttributeChange& change);
Request FsetstatRequest(std::string_view handle, const AttributeChange& change);
Request OpendirRequest(std::string_view path);
Request ReaddirRequest(std::string_view handle);
Request RemoveRequest(std::string_view path);
Request MkdirRequest(std::string_view path, std::uint32_t permissions);
Request RmdirRequest(std::string_view path);
Request RealpathRequest(std::string_view path);
Request RenameRequest(std::string_view from, std::string_view to);
Request ReadlinkRequest(std::string_view path);
// The target goes first on the wire: the draft says otherwise, every server does it OpenSSH's way.
Request SymlinkRequest(std::string_view target, std::string_view link);

Request LimitsRequest();
Request PosixRenameRequest(std::string_view from, std::string_view to);
Request HardlinkRequest(std::string_view existing, std::string_view link);
Request FsyncRequest(std::string_view handle);
Request StatvfsRequest(std::string_view path);
Request FstatvfsRequest(std::string_view handle);
Request LsetstatRequest(std::string_view path, const AttributeChange& change);
// `length` 0 would mean "until the end of the source".
Request CopyDataRequest(std::string_view from_handle, std::uint64_t from_offset, std::uint64_t length,
                        std::string_view to_handle, std::uint64_t to_offset);

// INIT has no id and is answered by VERSION.
std::vector<std::byte> InitMessage();

}  // namespace bt::sftp
