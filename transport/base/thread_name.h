// Names the calling thread for debuggers, top(1) and core files. At most 15 characters are kept (Linux).
#pragma once

#include <pthread.h>

namespace bt {

inline void SetThreadName(const char* name) {
#if defined(__APPLE__)
  pthread_setname_np(name);
#else
  pthread_setname_np(pthread_self(), name);
#endif
}

}  // namespace bt
