// The one way to include libfuse: every file of this folder that needs it includes this header, so that all of them see
// the same API version.
#pragma once

#define FUSE_USE_VERSION 314

#include <fuse_lowlevel.h>
