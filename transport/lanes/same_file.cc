#include "transport/lanes/same_file.h"

#include <algorithm>
#include <optional>

namespace bt::lanes {

bool SameKind(const Attributes& there, const Attributes& here) {
  return there.is_regular() && there.mode == here.mode && there.uid == here.uid && there.gid == here.gid;
}

Sameness CompareForReading(const Attributes& there, const Attributes& here) {
  if (!SameKind(there, here)) {
    return Sameness::kOther;
  }
  // A file that is being written shows different ages to two looks.
  return there.size == here.size && there.mtime == here.mtime ? Sameness::kSame : Sameness::kNotYet;
}

void Growth::OnSend(std::uint64_t end) {
  MutexLock lock(mutex_);
  sent_ = std::max(sent_, end);
}

void Growth::OnAcknowledge(std::uint64_t end) {
  MutexLock lock(mutex_);
  acknowledged_ = std::max(acknowledged_, end);
  grew_.NotifyAll();
}

std::uint64_t Growth::at_least() const {
  MutexLock lock(mutex_);
  return acknowledged_;
}

std::uint64_t Growth::at_most() const {
  MutexLock lock(mutex_);
  return sent_;
}

std::uint64_t Growth::grown() const {
  MutexLock lock(mutex_);
  return acknowledged_ - base_;
}

Status Growth::AwaitBeyond(const OpContext& ctx, std::uint64_t size) const {
  MutexLock lock(mutex_);
  while (acknowledged_ <= size) {
    if (closed_) {
      return Error{Code::kInterrupted, "the file was closed", "lanes.closed", Fate::kNotSent};
    }
    TRY(ctx.Check());
    grew_.Wait(mutex_, ctx);
  }
  return {};
}

void Growth::OnClose() {
  MutexLock lock(mutex_);
  closed_ = true;
  grew_.NotifyAll();
}

Result<std::optional<Attributes>> Growth::Look(const OpContext& ctx, RemoteFile& there) const {
  const std::uint64_t least = at_least();
  const Attributes seen = TRY(there.Stat(ctx));
  const std::uint64_t most = at_most();
  return seen.size < least || seen.size > most ? std::nullopt : std::optional(seen);
}

Result<Sameness> Growth::Prove(const OpContext& ctx, RemoteFile& there, RemoteFile& here,
                               const Attributes& known) const {
  const auto first = TRY(Look(ctx, there));
  if (!first) {
    return Sameness::kOther;
  }
  if (!AwaitBeyond(ctx, first->size)) {
    return Sameness::kNotYet;
  }
  const auto second = TRY(Look(ctx, there));
  if (!second || !SameKind(*first, *second)) {
    return Sameness::kOther;
  }
  return SameKind(*second, known) || SameKind(*second, TRY(here.Stat(ctx))) ? Sameness::kSame : Sameness::kOther;
}

}  // namespace bt::lanes
