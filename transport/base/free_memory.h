// What the allocator does not do by itself so that a program is quick while it works hard, and small again afterwards.
//
// glibc; elsewhere nothing happens.
#pragma once

#include <cstdlib>  // tells whether this is glibc

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace bt {

// Before there are threads.
inline void SetUpHeaps() {
#ifdef __GLIBC__
  // NOLINTBEGIN(concurrency-mt-unsafe): before there are threads
  // One for all threads: malloc_trim() shrinks the end of the first one only, up to kKept would stay in each other.
  // Small blocks come from each thread's own cache, the lock of the heap is for the few large ones.
  constexpr int kHeaps = 1;
  ::mallopt(M_ARENA_MAX, kHeaps);
  // A fetch's buffer is freed when the next one is wanted. Given back each time, its pages would have to be made again:
  // a tenth of all the work in a read at full speed. GiveBackToSystem() comes when the work is over.
  constexpr int kKept = 32 << 20;  // bytes of the heap, and the largest block that is taken from it
  ::mallopt(M_TRIM_THRESHOLD, kKept);
  ::mallopt(M_MMAP_THRESHOLD, kKept);
  // NOLINTEND(concurrency-mt-unsafe)
#endif
}

// Gives memory that was freed back to the system: the allocator keeps it, in pieces of up to a fetch each, until it is
// told. Worth it after much was freed at a time; walks the heap, some milliseconds. Any thread.
inline void GiveBackToSystem() {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
}

}  // namespace bt
