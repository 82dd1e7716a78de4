// How long the machine has been suspended since it booted. It grows by each suspend; comparing two readings tells that
// one lay between them.
#pragma once

#include "transport/base/op_context.h"

namespace bt {

// Zero for ever where the system cannot tell.
Duration TimeSuspended();

}  // namespace bt
