// What a mount tells about itself over its control socket: a value, and its JSON (one line).
//
// Threading: plain values.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fs/filesystem.h"

namespace bt::app {

struct MountStatus {
  std::string version;
  pid_t pid = 0;
  std::string target;
  std::string mount_point;
  std::string log_file;  // empty: the terminal
  bool ending = false;   // unmounted, sending what is unwritten

  std::string link = "up";  // PhaseName()
  double link_seconds = 0;  // since when
  double last_heard_seconds = 0;
  double next_dial_seconds = 0;  // while not connected
  std::uint64_t connections = 0;
  std::uint64_t reconnects = 0;
  std::uint64_t containers = 1;
  std::string last_error;  // why the link went down or a dial failed, last time

  std::uint64_t requests_under_way = 0;
  std::uint64_t requests_failed = 0;
  std::uint64_t unwritten_bytes = 0;
  std::vector<UnwrittenFile> unwritten_files;
  std::uint64_t lost_writes = 0;  // errors that nobody collected

  // Only in the last word of a mount.
  bool ended = false;
  std::string end_error;
};

std::string ToJson(const MountStatus& status);
std::optional<MountStatus> ParseStatus(std::string_view text);

}  // namespace bt::app
