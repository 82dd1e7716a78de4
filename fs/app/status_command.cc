#include "fs/app/status_command.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include <fmt/format.h>

#include "fs/app/control_socket.h"
#include "fs/app/reporter.h"
#include "fs/app/unmount_command.h"
#include "transport/base/units.h"

namespace bt::app {
namespace {

constexpr auto kPatience = std::chrono::milliseconds(500);
constexpr std::size_t kFilesShown = 10;

std::string Span(double seconds) {
  return FormatDuration(std::chrono::milliseconds(static_cast<std::chrono::milliseconds::rep>(seconds * 1000)));
}

}  // namespace

std::string Describe(const MountStatus& status) {
  std::string text =
      fmt::format("{} at {} (process {}, version {})\n", status.target, status.mount_point, status.pid, status.version);
  text += fmt::format("  link       {} for {}", status.link, Span(status.link_seconds));
  if (status.link == "up" || status.link == "suspect") {
    text += fmt::format(", {} connection{}, last heard from {} ago", status.connections,
                        status.connections == 1 ? "" : "s", Span(status.last_heard_seconds));
  } else {
    text += status.next_dial_seconds > 0 ? fmt::format(", next attempt in {}", Span(status.next_dial_seconds)) : "";
    text += status.last_error.empty() ? "" : fmt::format("\n             {}", status.last_error);
    text += "\n             what is cached is served as it was";
  }
  text += fmt::format("\n  reconnects {}", status.reconnects);
  if (status.containers > 1) {
    text += fmt::format(" (the container was replaced {} times)", status.containers - 1);
  }
  text += fmt::format("\n  requests   {} waiting\n", status.requests_under_way);
  text += fmt::format("  unwritten  {}\n",
                      status.unwritten_bytes == 0 ? "nothing" : FormatByteSize(status.unwritten_bytes));
  for (std::size_t i = 0; i < std::min(status.unwritten_files.size(), kFilesShown); ++i) {
    const UnwrittenFile& file = status.unwritten_files[i];
    text += fmt::format("             {}  {}\n", file.path, FormatByteSize(file.bytes));
  }
  if (status.unwritten_files.size() > kFilesShown) {
    text += fmt::format("             and {} more files\n", status.unwritten_files.size() - kFilesShown);
  }
  if (status.lost_writes > 0) {
    text += fmt::format("  LOST       {} writes failed after their file was closed; the log names them\n",
                        status.lost_writes);
  }
  if (status.ending) {
    text += "  ending     unmounted, sending what is unwritten\n";
  }
  text += fmt::format("  log        {}\n", status.log_file.empty() ? "the terminal" : status.log_file);
  return text;
}

int RunStatus(const StatusOptions& options) {
  std::vector<FoundMount> mounts = FindMounts(kPatience);
  if (options.mount_point) {
    const std::string wanted = ResolveMountPoint(*options.mount_point).string();
    std::erase_if(mounts, [&wanted](const FoundMount& mount) { return mount.status.mount_point != wanted; });
  }
  if (options.json) {
    std::string list;
    for (const FoundMount& mount : mounts) {
      list += (list.empty() ? "" : ",\n ") + ToJson(mount.status);
    }
    fmt::print("[{}]\n", list);
  } else {
    for (const FoundMount& mount : mounts) {
      fmt::print("{}", Describe(mount.status));
    }
  }
  if (mounts.empty()) {
    MakeTerminalReporter()->Failed(options.mount_point
                                       ? fmt::format("no running bt-mount serves {}", options.mount_point->string())
                                       : "nothing is mounted");
    return 1;
  }
  return 0;
}

}  // namespace bt::app
