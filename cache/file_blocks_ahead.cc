// FileBlocks: what is brought before it is asked for.

#include <algorithm>
#include <utility>
#include <vector>

#include "cache/file_blocks.h"

namespace bt {

namespace {

constexpr std::uint64_t kSmallestFetchAhead = 128U << 10U;
constexpr std::uint64_t kSmallestShare = 2U << 20U;  // bytes ahead, for one of several streams
constexpr std::chrono::seconds kFetchPatience{30};
constexpr std::chrono::seconds kStale{1};  // what was fetched ahead and not read for so long makes room first

}  // namespace

MemoryBudget::Share FileBlocks::RoomAhead(std::uint64_t bytes) {
  MemoryBudget::Share share = resources_.budget.Try(bytes);
  if (!share) {
    std::erase_if(extents_, [stale = Clock::now() - kStale](const Extents::value_type& extent) {
      return extent.second.ready && extent.second.fetched_at < stale;
    });
    share = resources_.budget.Try(bytes);
  }
  return share;
}

std::optional<std::size_t> FileBlocks::LookAhead(const Source& source, std::uint64_t offset, std::uint64_t length) {
  if (source.closed.stop_requested()) {
    return std::nullopt;
  }
  // Half of the budget for all that read now: the other half is for what was fetched and not read yet. The way to the
  // server holds one window, whoever reads.
  const std::uint64_t most = resources_.budget.limit() / 2;
  const std::uint64_t streams = std::max<std::size_t>(resources_.streams, 1);
  const std::uint64_t share = std::max(resources_.meter.Window(most) / streams, kSmallestShare);
  ReadAhead::Wish wish;
  {
    MutexLock lock(mutex_);
    wish = ahead_.OnRead(offset, length, std::min(share, most / streams));
    CountStreams(ahead_.running());
  }
  // What is near is worth another thread only for those who read much.
  if (disk_ != nullptr && wish.window >= kLargestFetch && !wish.near.empty()) {
    LookAheadOnDisk(source, wish);
  }
  if (!wish.range.empty()) {
    LookAheadOnServer(source, wish);
  }
  return wish.stream;
}

void FileBlocks::Served(std::optional<std::size_t> stream) {
  if (stream) {
    MutexLock lock(mutex_);
    ahead_.Served(*stream);
  }
}

void FileBlocks::LookAheadOnDisk(const Source& source, const ReadAhead::Wish& wish) {
  const std::uint64_t begin = GranuleCeiling(wish.near.begin);
  const std::uint64_t end = std::min(wish.near.end, version_.size);
  if (begin >= end) {
    return;
  }
  const std::uint64_t present_end = disk_->PresentEnd(begin, end);
  Plan plan;
  {
    MutexLock lock(mutex_);
    plan = PlanAhead(source, wish, {begin, present_end}, /*goes_on=*/present_end == end, /*from_disk=*/true);
    // Where there is nothing, the next look is behind it.
    ahead_.PlannedNear(wish.stream, present_end > begin ? plan.until : std::min(end, begin + PieceOf(wish)));
  }
  StartAhead(source, plan.fetches);
}

void FileBlocks::LookAheadOnServer(const Source& source, const ReadAhead::Wish& wish) {
  const std::uint64_t end = std::min(wish.range.end, version_.size);
  std::uint64_t begin = GranuleCeiling(wish.range.begin);
  if (disk_ != nullptr && begin < end) {
    begin = disk_->PresentEnd(begin, end);
  }
  Plan plan{.until = begin, .fetches = {}};
  {
    MutexLock lock(mutex_);
    if (begin < end) {
      plan = PlanAhead(source, wish, {begin, end}, /*goes_on=*/true, /*from_disk=*/false);
    }
    ahead_.Planned(wish.stream, plan.until);
  }
  StartAhead(source, plan.fetches);
}

// Whole pieces, so that a window that moves by a little does not cost a little request each time.
std::uint64_t FileBlocks::PieceOf(const ReadAhead::Wish& wish) {
  return std::clamp(GranuleFloor(wish.window / 4), kSmallestFetchAhead, kLargestFetch);
}

FileBlocks::Plan FileBlocks::PlanAhead(const Source& source, const ReadAhead::Wish& wish, ReadAhead::Range range,
                                       bool goes_on, bool from_disk) {
  const std::uint64_t piece = PieceOf(wish);
  Plan plan{.until = range.begin, .fetches = {}};
  while (plan.until < range.end) {
    const std::uint64_t begin = plan.until;
    if (const auto extent = Covering(begin); extent != extents_.end()) {
      plan.until = extent->second.end;
      continue;
    }
    const std::uint64_t gap_end = goes_on ? GapEnd(begin) : std::min(GapEnd(begin), range.end);
    const std::uint64_t end = std::min(gap_end, (begin / piece + 1) * piece);
    if (end > range.end && end != gap_end) {
      break;
    }
    MemoryBudget::Share share = RoomAhead(end - begin);
    if (!share) {
      break;
    }
    plan.fetches.push_back(Register(begin, end, source.id, std::move(share), from_disk));
    plan.until = end;
  }
  return plan;
}

void FileBlocks::StartAhead(const Source& source, const std::vector<Fetch>& fetches) {
  for (const Fetch& fetch : fetches) {
    const bool taken = resources_.pool.Submit([self = shared_from_this(), source, fetch] {
      {
        MutexLock lock(self->mutex_);
        if (!self->Start(fetch)) {
          return;
        }
      }
      // An error is for the one who asks for the bytes, and he will ask himself.
      static_cast<void>(self->Bring(OpContext::WithTimeout(kFetchPatience, source.closed), source, fetch));
    });
    if (!taken) {
      GiveUp(fetch);
    }
  }
}

}  // namespace bt
