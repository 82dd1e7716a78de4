#include "fs/fuse/interrupt.h"

#include <utility>
#include <vector>

namespace bt::fuse {

InterruptRegistry::Ticket InterruptRegistry::Register() {
  std::stop_source source;
  Ticket ticket{Id{}, source.get_token()};
  const MutexLock lock(mutex_);
  if (ending_) {
    source.request_stop();  // nobody has seen the token yet, so no callback can run here
  }
  ticket.id = Id{next_++};
  waiting_.emplace(ticket.id, std::move(source));
  return ticket;
}

void InterruptRegistry::Unregister(Id id) {
  const MutexLock lock(mutex_);
  waiting_.erase(id);
}

bool InterruptRegistry::Interrupt(Id id) {
  std::stop_source source(std::nostopstate);
  {
    const MutexLock lock(mutex_);
    const auto found = waiting_.find(id);
    if (found == waiting_.end()) {
      return false;
    }
    source = found->second;  // shares the state: the request may be answered while its callbacks run
  }
  source.request_stop();
  return true;
}

void InterruptRegistry::InterruptAll() {
  std::vector<std::stop_source> sources;
  {
    const MutexLock lock(mutex_);
    ending_ = true;
    sources.reserve(waiting_.size());
    for (const auto& [id, source] : waiting_) {
      sources.push_back(source);
    }
  }
  for (std::stop_source& source : sources) {
    source.request_stop();
  }
}

std::size_t InterruptRegistry::size() const {
  const MutexLock lock(mutex_);
  return waiting_.size();
}

}  // namespace bt::fuse
