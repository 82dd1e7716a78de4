#include "fs/app/mount_plan.h"

#include <unistd.h>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "fs/app/cache_command.h"
#include "fs/app/home.h"
#include "fs/app/log.h"
#include "fs/fuse/mount_point.h"
#include "transport/access/environment.h"

namespace bt::app {
namespace {

Result<std::filesystem::path> MakeDefaultMountPoint(const access::Target& target) {
  const std::filesystem::path path = DefaultMountPoint(target);
  std::error_code problem;
  std::filesystem::create_directories(path, problem);
  // A dead mount of ours answers "not connected"; PrepareMountPoint() will clean it up.
  if (problem && problem != std::errc::not_connected) {
    return Error{Code::kConfig,
                 fmt::format("cannot make the mount point {}: {}; name another one after the target", path.string(),
                             problem.message()),
                 "app.mount-point"};
  }
  return path;
}

// Null when there is none, or none that can be used: then reading works all the same.
std::shared_ptr<BlockCache> OpenDiskCache(const MountOptions& options) {
  if (options.no_cache) {
    return nullptr;
  }
  BlockCacheOptions cache;
  cache.directory = CacheDirectory(options.cache_dir);
  cache.limit = options.cache_size;
  auto disk = BlockCache::Open(cache);
  if (!disk) {
    spdlog::warn("{}; nothing that is read is kept on this machine", disk.error().text);
    return nullptr;
  }
  return std::move(disk).value();
}

}  // namespace

std::string TargetLabel(const access::Target& target) {
  if (target.kind == access::Target::Kind::kTrainingJob) {
    return fmt::format("{}-{}", target.job, target.node);
  }
  return fmt::format("model-{}-{}{}{}", target.model, target.deployment, target.replica.empty() ? "" : "-",
                     target.replica);
}

std::filesystem::path DefaultMountPoint(const access::Target& target) {
  const std::filesystem::path base = HomeDirectory() / "baseten";
  if (target.kind == access::Target::Kind::kTrainingJob) {
    return base / target.job / fmt::format("{}", target.node);
  }
  return base / target.model /
         (target.replica.empty() ? target.deployment : fmt::format("{}-{}", target.deployment, target.replica));
}

Result<MountPlan> MakeMountPlan(const MountOptions& options) {
  const access::TargetOverrides overrides{options.node, options.remote};
  MountPlan plan;
  plan.options = options;
  plan.target = TRY(access::ParseTarget(options.target, overrides));
  TRY(fuse::CheckDevice());
  const std::filesystem::path wanted =
      options.mount_point ? *options.mount_point : TRY(MakeDefaultMountPoint(plan.target));
  plan.mount_point = TRY(fuse::PrepareMountPoint(wanted, options.nonempty));
  plan.credentials = TRY(access::FindCredentials(access::Environment::OfProcess(),
                                                 {.remote = plan.target.remote, .api_prefix = plan.target.api_prefix}));
  if (!options.foreground) {
    plan.log_file = LogFilePath(TargetLabel(plan.target));
  }
  return plan;
}

FilesystemOptions ToFilesystemOptions(const MountPlan& plan) {
  FilesystemOptions options;
  options.uid = plan.options.uid.value_or(::getuid());
  options.gid = plan.options.gid.value_or(::getgid());
  options.owner_map = plan.options.owner_map;
  options.umask = plan.options.umask;
  options.symlinks = plan.options.symlinks;
  options.read_only = plan.options.read_only;
  options.write_timeout = plan.options.timeout;
  options.reading.workspace = TargetLabel(plan.target);
  options.reading.memory = plan.options.memory;
  options.reading.disk = OpenDiskCache(plan.options);
  options.set_times_file = XdgDirectory("XDG_STATE_HOME", ".local/state") / "bt-mount/times" / TargetLabel(plan.target);
  return options;
}

fuse::MountOptions ToFuseOptions(const MountPlan& plan, const std::string& source) {
  fuse::MountOptions options;
  options.mount_point = plan.mount_point;
  options.fsname = plan.options.fsname.value_or(source);
  options.read_only = plan.options.read_only;
  options.allow_other = plan.options.allow_other;
  options.default_permissions = plan.options.default_permissions;
  options.nonempty = plan.options.nonempty;
  options.kernel_words = plan.options.kernel_words;
  options.timeout = plan.options.timeout;
  return options;
}

}  // namespace bt::app
