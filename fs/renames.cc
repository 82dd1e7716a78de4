#include "fs/renames.h"

#include <algorithm>
#include <utility>

namespace bt {

namespace {

constexpr std::size_t kRemembered = 256;  // as many as may end while one request is on its way

}  // namespace

Renames::Mark::Mark(Renames& renames, const RemotePath& from, const RemotePath& to, Kind kind)
    : renames_(renames), kind_(kind) {
  MutexLock lock(renames_.mutex_);
  at_ = renames_.under_way_.insert(renames_.under_way_.end(), Rename{from, to});
}

Renames::Mark::~Mark() {
  MutexLock lock(renames_.mutex_);
  if (kind_ == Kind::kDirectory) {
    renames_.directories_.push_back(std::move(*at_));
    ++renames_.count_;
    if (renames_.directories_.size() > kRemembered) {
      renames_.directories_.pop_front();
    }
  }
  renames_.under_way_.erase(at_);
  renames_.ended_.NotifyAll();
}

Status Renames::AwaitNone(const OpContext& ctx, const RemotePath& path) {
  MutexLock lock(mutex_);
  while (std::ranges::any_of(under_way_, [&path](const Rename& one) { return one.from.Contains(path); })) {
    TRY(ctx.Check());
    ended_.Wait(mutex_, ctx);
  }
  return {};
}

Renames::Moment Renames::Now() const {
  MutexLock lock(mutex_);
  return count_;
}

bool Renames::Touched(const RemotePath& path, Moment since) const {
  MutexLock lock(mutex_);
  const auto touches = [&path](const Rename& one) { return one.Touches(path); };
  const Moment ended = count_ - since;
  return ended > directories_.size() || std::ranges::any_of(under_way_, touches) ||
         std::any_of(directories_.end() - static_cast<std::ptrdiff_t>(ended), directories_.end(), touches);
}

}  // namespace bt
