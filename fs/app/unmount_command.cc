#include "fs/app/unmount_command.h"

#include <filesystem>

#include <fmt/format.h>

#include "fs/app/reporter.h"
#include "fs/fuse/mount_point.h"
#include "fs/fuse/mount_table.h"

namespace bt::app {
namespace {

// Absolute and without symlinks, but without touching the mounted root itself: a dead mount must not make us wait.
std::filesystem::path ResolveParent(const std::filesystem::path& path) {
  std::filesystem::path absolute = std::filesystem::absolute(path).lexically_normal();
  if (!absolute.has_filename()) {
    absolute = absolute.parent_path();  // "mnt/"
  }
  std::error_code ignored;
  const std::filesystem::path parent = std::filesystem::weakly_canonical(absolute.parent_path(), ignored);
  return ignored ? absolute : parent / absolute.filename();
}

Result<std::string> Run(const UnmountOptions& options) {
  const std::filesystem::path path = ResolveParent(options.mount_point);
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
  TRY(fuse::Unmount(path, options.force ? fuse::UnmountMode::kLazy : fuse::UnmountMode::kIfIdle));
  return fmt::format("Unmounted {}", path.string());
}

}  // namespace

int RunUnmount(const UnmountOptions& options) {
  const auto terminal = MakeTerminalReporter();
  const auto done = Run(options);
  if (!done) {
    terminal->Failed(done.error().text);
    return 1;
  }
  fmt::print("{}\n", *done);
  return 0;
}

}  // namespace bt::app
