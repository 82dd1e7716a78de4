// What a mount command amounts to once the user's files and this machine were asked, before anything is connected.
//
// Threading: plain values; MakeMountPlan() reads the user's files.
#pragma once

#include <filesystem>
#include <string>

#include "fs/app/options.h"
#include "fs/fuse/mount.h"
#include "transport/access/credentials.h"
#include "transport/access/host_name.h"

namespace bt::app {

struct MountPlan {
  MountOptions options;
  access::Target target;
  access::Credentials credentials;
  std::filesystem::path mount_point;  // canonical, free, made when it was the default one
  std::filesystem::path log_file;     // empty in the foreground
};

// Every way to fail that needs no connection fails here, with a text for the user.
Result<MountPlan> MakeMountPlan(const MountOptions& options);

// "abc1234-0", "model-m1-d1": for the names of files of ours.
std::string TargetLabel(const access::Target& target);

// ~/baseten/<job>/<node>, ~/baseten/<model>/<deployment>[-<replica>].
std::filesystem::path DefaultMountPoint(const access::Target& target);

FilesystemOptions ToFilesystemOptions(const MountPlan& plan);
fuse::MountOptions ToFuseOptions(const MountPlan& plan, const std::string& source);

}  // namespace bt::app
