// Must not get past clang's -Wthread-safety: touches what the mutex guards, without it.
#include "transport/base/sync.h"

namespace bt {

class Counter {
 public:
  void Add() { ++count_; }

 private:
  Mutex mutex_;
  int count_ GUARDED_BY(mutex_) = 0;
};

void Use() { Counter().Add(); }

}  // namespace bt
