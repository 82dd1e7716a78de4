// `bt-mount TARGET [MOUNTPOINT]`: checks, forks, connects, mounts, serves.
#pragma once

#include <functional>

#include "fs/app/options.h"

namespace bt::app {

// Returns the exit code of the process that the user started; in the background the mount process never returns from
// here, it exits.
int RunMount(const MountOptions& options);

}  // namespace bt::app
