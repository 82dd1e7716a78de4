// Names of SFTP requests. Extensions that OpenSSH has get a number of their own (201 and up, free in the protocol's
// table of requests), so that they can be counted and broken apart from each other.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace bt::tap {

struct RequestName {
  std::uint8_t number;
  std::string_view name;       // in reports and commands
  std::string_view extension;  // on the wire, for the numbers above 200
};

inline constexpr std::uint8_t kInit = 1;
inline constexpr std::uint8_t kRead = 5;
inline constexpr std::uint8_t kWrite = 6;
inline constexpr std::uint8_t kExtended = 200;  // on the wire: any extension; in counters: one that is not listed here

inline constexpr std::array kRequestNames{
    RequestName{1, "init", ""},
    RequestName{3, "open", ""},
    RequestName{4, "close", ""},
    RequestName{5, "read", ""},
    RequestName{6, "write", ""},
    RequestName{7, "lstat", ""},
    RequestName{8, "fstat", ""},
    RequestName{9, "setstat", ""},
    RequestName{10, "fsetstat", ""},
    RequestName{11, "opendir", ""},
    RequestName{12, "readdir", ""},
    RequestName{13, "remove", ""},
    RequestName{14, "mkdir", ""},
    RequestName{15, "rmdir", ""},
    RequestName{16, "realpath", ""},
    RequestName{17, "stat", ""},
    RequestName{18, "rename", ""},
    RequestName{19, "readlink", ""},
    RequestName{20, "symlink", ""},
    RequestName{200, "extended", ""},
    RequestName{201, "posix-rename", "posix-rename@openssh.com"},
    RequestName{202, "statvfs", "statvfs@openssh.com"},
    RequestName{203, "fstatvfs", "fstatvfs@openssh.com"},
    RequestName{204, "hardlink", "hardlink@openssh.com"},
    RequestName{205, "fsync", "fsync@openssh.com"},
    RequestName{206, "lsetstat", "lsetstat@openssh.com"},
    RequestName{207, "limits", "limits@openssh.com"},
    RequestName{208, "expand-path", "expand-path@openssh.com"},
    RequestName{209, "copy-data", "copy-data"},
    RequestName{210, "home-directory", "home-directory"},
    RequestName{211, "users-groups-by-id", "users-groups-by-id@openssh.com"},
};

// "mkdir" to 14; nothing when there is no such request.
constexpr std::optional<std::uint8_t> RequestByName(std::string_view name) {
  for (const RequestName& row : kRequestNames) {
    if (row.name == name) {
      return row.number;
    }
  }
  return std::nullopt;
}

// The number of an extension by its name on the wire; kExtended when it is not in the table.
constexpr std::uint8_t RequestByExtension(std::string_view extension) {
  for (const RequestName& row : kRequestNames) {
    if (!row.extension.empty() && row.extension == extension) {
      return row.number;
    }
  }
  return kExtended;
}

}  // namespace bt::tap
