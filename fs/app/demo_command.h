// `bt-mount demo`: the whole path on this machine, without an account.
#pragma once

#include "fs/app/options.h"

namespace bt::app {

int RunDemo(const DemoOptions& options);

}  // namespace bt::app
