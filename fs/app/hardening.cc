#include "fs/app/hardening.h"

#include <sys/resource.h>

#if defined(__linux__)
#include <sys/prctl.h>
#endif

namespace bt::app {

void ForbidCoreDumps() {
  const struct rlimit none { 0, 0 };
  setrlimit(RLIMIT_CORE, &none);
#if defined(__linux__)
  // A core_pattern that pipes to a program ignores RLIMIT_CORE; this does not (prctl(2)).
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

}  // namespace bt::app
