// `bt-mount unmount MOUNTPOINT`.
#pragma once

#include "fs/app/options.h"

namespace bt::app {

int RunUnmount(const UnmountOptions& options);

}  // namespace bt::app
