// Must get past all of it, or a gate refuses for a reason of its own.
#include "transport/base/sync.h"

namespace bt {

class Counter {
 public:
  int Add() {
    const MutexLock lock(mutex_);
    return ++count_;
  }

 private:
  Mutex mutex_;
  int count_ GUARDED_BY(mutex_) = 0;
};

}  // namespace bt

int main() { return bt::Counter().Add() == 1 ? 0 : 1; }
