#include "fs/hard_links.h"

#include <algorithm>

#include "fs/inode.h"

namespace bt {

void HardLinks::Add(const std::shared_ptr<Inode>& name) {
  MutexLock lock(mutex_);
  std::erase_if(names_, [](const Member& member) { return member.inode.expired(); });
  names_.push_back({name.get(), name});
}

void HardLinks::Changed(const Inode& name, TimePoint then, bool acknowledged) {
  MutexLock lock(mutex_);
  for (Member& member : names_) {
    if (member.id == &name) {
      member.changed = then;
      member.acknowledged = acknowledged;
    }
  }
}

TimePoint HardLinks::ChangedElsewhere(const Inode& name) const {
  TimePoint last = TimePoint::min();
  MutexLock lock(mutex_);
  for (const Member& member : names_) {
    if (member.id != &name) {
      last = std::max(last, member.acknowledged ? member.changed : Clock::now());
    }
  }
  return last;
}

std::vector<std::shared_ptr<Inode>> HardLinks::OtherNames(const Inode& name) const {
  std::vector<std::shared_ptr<Inode>> others;  // given back after the lock
  MutexLock lock(mutex_);
  for (const Member& member : names_) {
    if (member.id != &name) {
      if (auto inode = member.inode.lock()) {
        others.push_back(std::move(inode));
      }
    }
  }
  return others;
}

}  // namespace bt
