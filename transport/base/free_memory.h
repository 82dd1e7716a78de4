// Gives memory that was freed back to the system: the allocator keeps it, in pieces of up to a fetch each, until it is
// told. Worth it after much was freed at a time; walks the whole heap, some milliseconds.
//
// glibc; elsewhere nothing happens. Threading: any thread.
#pragma once

#include <cstdlib>  // tells whether this is glibc

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace bt {

inline void GiveBackToSystem() {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
}

}  // namespace bt
