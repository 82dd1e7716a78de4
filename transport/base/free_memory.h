// What the allocator does not do by itself so that a program that worked hard is small again.
//
// glibc; elsewhere nothing happens.
#pragma once

#include <cstdlib>  // tells whether this is glibc

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace bt {

// Few heaps that all threads share, instead of one for each: what threads leave behind in theirs is never given back
// as a whole. Before there are threads.
inline void ShareHeaps() {
#ifdef __GLIBC__
  constexpr int kHeaps = 4;
  ::mallopt(M_ARENA_MAX, kHeaps);
#endif
}

// Gives memory that was freed back to the system: the allocator keeps it, in pieces of up to a fetch each, until it is
// told. Worth it after much was freed at a time; walks all heaps, some milliseconds. Any thread.
inline void GiveBackToSystem() {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
}

}  // namespace bt
