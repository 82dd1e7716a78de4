#include "fs/app/unmount_command.h"

#include <chrono>
#include <filesystem>
#include <optional>

#include <fmt/format.h>

#include "fs/app/control_socket.h"
#include "fs/app/reporter.h"
#include "fs/fuse/mount_point.h"
#include "fs/fuse/mount_table.h"
#include "transport/base/units.h"

namespace bt::app {
namespace {

constexpr auto kAskPatience = std::chrono::milliseconds(500);
// A mount gives its last bytes a minute; then it says what is lost.
constexpr auto kEndPatience = std::chrono::seconds(75);

std::optional<FoundMount> FindDaemon(const std::filesystem::path& mount_point) {
  for (FoundMount& mount : app::FindMounts(kAskPatience)) {
    if (mount.status.mount_point == mount_point.string() && !mount.status.ending) {
      return std::move(mount);
    }
  }
  return std::nullopt;
}

std::string Names(const std::vector<UnwrittenFile>& files) {
  std::string names;
  for (const UnwrittenFile& file : files) {
    names += fmt::format("\n  {}  {}", file.path, FormatByteSize(file.bytes));
  }
  return names;
}

// Until the mount's process is done with its bytes.
Status AwaitEnd(Follower& follower, Reporter& reporter) {
  std::uint64_t shown = 0;
  const auto last = follower.Await(kEndPatience, [&](const MountStatus& status) {
    if (status.ending && status.unwritten_bytes > 0 && status.unwritten_bytes != shown) {
      shown = status.unwritten_bytes;
      reporter.Progress(fmt::format("sending the last {} ...", FormatByteSize(shown)));
    }
  });
  if (!last) {
    return last.error();
  }
  if (last->unwritten_bytes > 0 || !last->end_error.empty()) {
    return Error{Code::kFailure,
                 fmt::format("unmounted, but not everything that was written has reached the server: {}{}{}",
                             last->end_error, Names(last->unwritten_files),
                             last->log_file.empty() ? "" : fmt::format("\nThe log has more: {}", last->log_file)),
                 "unmount.lost"};
  }
  return {};
}

Result<std::string> Run(const UnmountOptions& options, Reporter& reporter) {
  const std::filesystem::path path = ResolveMountPoint(options.mount_point);
  const auto mount = fuse::FindMountAt(path);
  if (!mount) {
    return Error{Code::kConfig, fmt::format("nothing is mounted at {}", path.string()), "unmount.none"};
  }
  if (mount->fs_type != fuse::kFsType) {
    return Error{
        Code::kConfig,
        fmt::format("{} is a mount of type {}, not one of bt-mount; use umount", path.string(), mount->fs_type),
        "unmount.other"};
  }
  const auto daemon = FindDaemon(path);
  std::optional<Follower> follower;
  if (daemon) {
    if (auto connected = Follower::Connect(daemon->socket)) {
      follower = std::move(connected).value();
    }
  }
  TRY(fuse::Unmount(path, options.force ? fuse::UnmountMode::kLazy : fuse::UnmountMode::kIfIdle));
  if (daemon && options.force) {
    // Programs that still use it would keep a detached mount alive for ever. That it ends already is no failure.
    static_cast<void>(AskMount(daemon->socket, R"({"command":"stop","force":true})", kAskPatience));
  }
  if (follower) {
    TRY(AwaitEnd(*follower, reporter));
  }
  return fmt::format("Unmounted {}", path.string());
}

}  // namespace

std::filesystem::path ResolveMountPoint(const std::filesystem::path& path) {
  std::filesystem::path absolute = std::filesystem::absolute(path).lexically_normal();
  if (!absolute.has_filename()) {
    absolute = absolute.parent_path();  // "mnt/"
  }
  std::error_code ignored;
  const std::filesystem::path parent = std::filesystem::weakly_canonical(absolute.parent_path(), ignored);
  return ignored ? absolute : parent / absolute.filename();
}

int RunUnmount(const UnmountOptions& options) {
  const auto terminal = MakeTerminalReporter();
  const auto done = Run(options, *terminal);
  if (!done) {
    terminal->Failed(done.error().text);
    return 1;
  }
  fmt::print("{}\n", *done);
  return 0;
}

}  // namespace bt::app
