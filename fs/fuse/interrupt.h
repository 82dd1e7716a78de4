// Who is waiting, so that FUSE_INTERRUPT finds them: request id -> std::stop_source.
//
// libfuse hands the interrupt callback a pointer that it read a moment earlier, so whatever the pointer leads to may be
// gone by then. Therefore the pointer is no pointer but an id, which is looked up here: an id that is no longer known
// belongs to a request that was answered meanwhile.
//
// Threading: every method may be called from any thread. Stop callbacks run on the thread that calls Interrupt() or
// InterruptAll(), with no lock held.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <unordered_map>

#include "transport/base/sync.h"

namespace bt::fuse {

class InterruptRegistry {
 public:
  enum class Id : std::uintptr_t {};
  struct Ticket {
    Id id{};
    std::stop_token token;
  };

  // Before the request can be interrupted, that is before libfuse knows the id.
  Ticket Register();
  // Before the request is answered.
  void Unregister(Id id);

  // False when the id is not (or no longer) known.
  bool Interrupt(Id id);
  // The mount is ending: interrupts all that wait, and every later one at once.
  void InterruptAll();

  std::size_t size() const;

 private:
  mutable Mutex mutex_;
  std::uintptr_t next_ GUARDED_BY(mutex_) = 1;
  bool ending_ GUARDED_BY(mutex_) = false;
  std::unordered_map<Id, std::stop_source> waiting_ GUARDED_BY(mutex_);
};

}  // namespace bt::fuse
