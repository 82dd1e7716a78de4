// bt-mount status: what the mounts of this user are doing.
#pragma once

#include <string>

#include "fs/app/mount_status.h"
#include "fs/app/options.h"

namespace bt::app {

int RunStatus(const StatusOptions& options);

// A few lines for people.
std::string Describe(const MountStatus& status);

}  // namespace bt::app
