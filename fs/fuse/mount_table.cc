#include "fs/fuse/mount_table.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>
#include <sstream>
#include <utility>

namespace bt::fuse {
namespace {

// The kernel writes space, tab, newline and backslash as \ and three octal digits.
std::string Unescape(std::string_view text) {
  const auto is_octal = [](char c) { return c >= '0' && c <= '7'; };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && is_octal(text[i + 1]) && is_octal(text[i + 2]) &&
        is_octal(text[i + 3])) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string_view NextWord(std::string_view& rest, char separator = ' ') {
  const std::size_t end = std::min(rest.find(separator), rest.size());
  const std::string_view word = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return word;
}

// "36 35 98:0 /root /mount/point rw,noatime shared:1 master:2 - type source super-options"
std::optional<MountEntry> ParseLine(std::string_view line) {
  MountEntry entry;
  NextWord(line);  // id
  NextWord(line);  // id of the parent
  std::string_view device = NextWord(line);
  NextWord(device, ':');
  const auto [end, error] = std::from_chars(device.data(), device.data() + device.size(), entry.device_minor);
  NextWord(line);  // what of the filesystem is mounted
  entry.mount_point = Unescape(NextWord(line));
  entry.options = NextWord(line);
  while (!line.empty() && NextWord(line) != "-") {
  }
  entry.fs_type = Unescape(NextWord(line));
  entry.source = Unescape(NextWord(line));
  if (error != std::errc() || entry.fs_type.empty()) {
    return std::nullopt;
  }
  return entry;
}

}  // namespace

std::vector<MountEntry> ParseMountInfo(std::string_view text) {
  std::vector<MountEntry> entries;
  while (!text.empty()) {
    if (auto entry = ParseLine(NextWord(text, '\n'))) {
      entries.push_back(std::move(*entry));
    }
  }
  return entries;
}

Result<std::vector<MountEntry>> ReadMountTable() {
  std::ifstream file("/proc/self/mountinfo");
  std::ostringstream text;
  if (!(text << file.rdbuf())) {
    return Error{Code::kFailure, "cannot read /proc/self/mountinfo: is /proc mounted?", "mount.table"};
  }
  return ParseMountInfo(text.view());
}

Result<std::vector<MountEntry>> FindMounts(std::string_view fs_type) {
  std::vector<MountEntry> entries = TRY(ReadMountTable());
  std::erase_if(entries, [fs_type](const MountEntry& entry) { return entry.fs_type != fs_type; });
  return entries;
}

Result<MountEntry> FindMountAt(const std::filesystem::path& path) {
  const std::vector<MountEntry> entries = TRY(ReadMountTable());
  const auto found = std::find_if(entries.rbegin(), entries.rend(),
                                  [&path](const MountEntry& entry) { return entry.mount_point == path; });
  if (found == entries.rend()) {
    return Error{Code::kNotFound, "nothing is mounted at " + path.string(), "mount.not-mounted"};
  }
  return *found;
}

bool IsMountPoint(const std::filesystem::path& path) { return FindMountAt(path).ok(); }

}  // namespace bt::fuse
