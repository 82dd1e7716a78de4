#include "transport/base/sleep_clock.h"

#include <ctime>

namespace bt {

#if defined(__linux__)

Duration TimeSuspended() {
  // CLOCK_BOOTTIME goes on while CLOCK_MONOTONIC stands still (clock_gettime(2)).
  struct timespec boot {};
  struct timespec awake {};
  clock_gettime(CLOCK_BOOTTIME, &boot);
  clock_gettime(CLOCK_MONOTONIC, &awake);
  return std::chrono::seconds(boot.tv_sec - awake.tv_sec) + std::chrono::nanoseconds(boot.tv_nsec - awake.tv_nsec);
}

#else

Duration TimeSuspended() { return Duration::zero(); }

#endif

}  // namespace bt
