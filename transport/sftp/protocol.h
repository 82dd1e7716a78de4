// The numbers of SFTP version 3 (draft-ietf-secsh-filexfer-02) and of the extensions in use.
//
// Threading: constants.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bt::sftp {

inline constexpr std::uint32_t kProtocolVersion = 3;

// OpenSSH ends a session over a message longer than this, in either direction; the length prefix is not counted.
inline constexpr std::size_t kMaxRequestBytes = 256 * 1024;
// What is accepted from a server: the same, and some slack for servers that count differently.
inline constexpr std::size_t kMaxReplyBytes = kMaxRequestBytes + 4096;
// Section 6.2: "the length of the handle string MUST NOT exceed 256 data bytes".
inline constexpr std::size_t kMaxHandleBytes = 256;
// Linux's PATH_MAX without the terminating NUL.
inline constexpr std::size_t kMaxPathBytes = 4095;

enum class MessageType : std::uint8_t {
  kInit = 1,
  kVersion = 2,
  kOpen = 3,
  kClose = 4,
  kRead = 5,
  kWrite = 6,
  kLstat = 7,
  kFstat = 8,
  kSetstat = 9,
  kFsetstat = 10,
  kOpendir = 11,
  kReaddir = 12,
  kRemove = 13,
  kMkdir = 14,
  kRmdir = 15,
  kRealpath = 16,
  kStat = 17,
  kRename = 18,
  kReadlink = 19,
  kSymlink = 20,
  kStatus = 101,
  kHandle = 102,
  kData = 103,
  kName = 104,
  kAttrs = 105,
  kExtended = 200,
  kExtendedReply = 201,
};

enum class StatusCode : std::uint32_t {
  kOk = 0,
  kEof = 1,
  kNoSuchFile = 2,
  kPermissionDenied = 3,
  kFailure = 4,
  kBadMessage = 5,
  kNoConnection = 6,
  kConnectionLost = 7,
  kOpUnsupported = 8,
};

// Which fields an ATTRS structure carries.
inline constexpr std::uint32_t kAttrSize = 0x00000001;
inline constexpr std::uint32_t kAttrOwner = 0x00000002;
inline constexpr std::uint32_t kAttrPermissions = 0x00000004;
inline constexpr std::uint32_t kAttrTimes = 0x00000008;
inline constexpr std::uint32_t kAttrExtended = 0x80000000;

inline constexpr std::uint32_t kOpenRead = 0x01;
inline constexpr std::uint32_t kOpenWrite = 0x02;
inline constexpr std::uint32_t kOpenAppend = 0x04;
inline constexpr std::uint32_t kOpenCreate = 0x08;
inline constexpr std::uint32_t kOpenTruncate = 0x10;
inline constexpr std::uint32_t kOpenExclusive = 0x20;

inline constexpr std::string_view kExtPosixRename = "posix-rename@openssh.com";
inline constexpr std::string_view kExtHardlink = "hardlink@openssh.com";
inline constexpr std::string_view kExtFsync = "fsync@openssh.com";
inline constexpr std::string_view kExtStatvfs = "statvfs@openssh.com";
inline constexpr std::string_view kExtFstatvfs = "fstatvfs@openssh.com";
inline constexpr std::string_view kExtLsetstat = "lsetstat@openssh.com";
inline constexpr std::string_view kExtLimits = "limits@openssh.com";
inline constexpr std::string_view kExtExpandPath = "expand-path@openssh.com";
inline constexpr std::string_view kExtCopyData = "copy-data";

}  // namespace bt::sftp
