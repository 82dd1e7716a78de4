#include "cache/file_blocks.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace bt {

namespace {

constexpr std::uint64_t kLargestFetch = 1U << 20U;  // bytes; several requests of the server's largest size
constexpr std::uint64_t kSmallestFetchAhead = 128U << 10U;
// What somebody asked for is kept a little for its neighbours, who come next in many programs.
constexpr std::size_t kKeptAfterAsking = 32;
constexpr std::chrono::seconds kFetchPatience{30};
constexpr std::chrono::seconds kStale{1};  // what was fetched ahead and not read for so long makes room first

std::uint64_t Floor(std::uint64_t offset) { return offset / kGranule * kGranule; }
std::uint64_t Ceiling(std::uint64_t offset) { return Floor(offset + kGranule - 1); }

}  // namespace

FileBlocks::FileBlocks(const ReadResources& resources, const FileVersion& version, std::shared_ptr<BlockFile> disk)
    : resources_(resources), version_(version), disk_(std::move(disk)) {}

FileBlocks::~FileBlocks() { DropUnlessReadSince(TimePoint::max()); }

template <typename Map>
auto FileBlocks::CoveringIn(Map& extents, std::uint64_t at) {
  const auto behind = extents.upper_bound(at);
  return behind == extents.begin() || std::prev(behind)->second.end <= at ? extents.end() : std::prev(behind);
}

FileBlocks::Extents::iterator FileBlocks::Covering(std::uint64_t at) { return CoveringIn(extents_, at); }

FileBlocks::Extents::const_iterator FileBlocks::Covering(std::uint64_t at) const { return CoveringIn(extents_, at); }

std::uint64_t FileBlocks::GapEnd(std::uint64_t at) const {
  const auto behind = extents_.upper_bound(at);
  return behind == extents_.end() ? version_.size : behind->first;
}

FileBlocks::Fetch FileBlocks::Register(std::uint64_t begin, std::uint64_t end, std::uint64_t source,
                                       MemoryBudget::Share share) {
  Extent extent;
  extent.end = end;
  extent.ticket = ++last_ticket_;
  extent.source = source;
  extent.share = std::move(share);
  extents_.emplace(begin, std::move(extent));
  return {begin, end, last_ticket_};
}

bool FileBlocks::Start(const Fetch& fetch) {
  const auto extent = extents_.find(fetch.begin);
  return extent != extents_.end() && extent->second.ticket == fetch.ticket &&
         !std::exchange(extent->second.started, true);
}

std::shared_ptr<const std::byte[]> FileBlocks::Consume(Extents::iterator extent, std::uint64_t length) {
  std::shared_ptr<const std::byte[]> bytes = extent->second.bytes;
  extent->second.consumed += length;
  if (extent->second.consumed >= extent->second.end - extent->first) {
    if (waiting_ > 0) {
      Keep(extent);
    } else if (!extent->second.kept) {
      extents_.erase(extent);  // the kernel has it, and so has the disk
    }
  }
  return bytes;
}

void FileBlocks::Keep(Extents::iterator extent) {
  if (!std::exchange(extent->second.kept, true)) {
    kept_.push_back(extent->first);
  }
}

void FileBlocks::DropKept() {
  const auto too_much = [this]() REQUIRES(mutex_) {
    return kept_.size() > kKeptAfterAsking || resources_.budget.used() > resources_.budget.limit();
  };
  while (!kept_.empty() && too_much()) {
    const auto extent = extents_.find(kept_.front());
    if (extent != extents_.end() && extent->second.kept && extent->second.ready) {
      extents_.erase(extent);
    }
    kept_.pop_front();
  }
}

void FileBlocks::NoteRead(TimePoint now) {
  last_read_ = now;
  if (!std::exchange(active_, true)) {
    ++resources_.active;
  }
}

Result<std::size_t> FileBlocks::Read(const OpContext& ctx, const Source& source, std::uint64_t offset,
                                     std::span<std::byte> out) {
  const std::uint64_t end = offset + out.size();
  std::uint64_t not_on_disk = version_.size;  // where the disk was asked in vain
  std::uint64_t at = offset;
  LookAhead(source, offset, out.size());
  MutexLock lock(mutex_);
  NoteRead(Clock::now());
  while (at < end) {
    const std::span<std::byte> rest = out.subspan(at - offset);
    const auto extent = Covering(at);
    if (extent != extents_.end() && extent->second.ready) {
      const std::uint64_t begin = extent->first;
      const std::size_t length = std::min(end, extent->second.end) - at;
      const auto bytes = Consume(extent, length);
      lock.Unlock();
      std::memcpy(rest.data(), bytes.get() + (at - begin), length);
      lock.Lock();
      at += length;
      continue;
    }
    if (extent != extents_.end() && extent->second.started) {  // on its way
      TRY(ctx.Check());
      ++waiting_;
      changed_.Wait(mutex_, ctx);
      --waiting_;
      continue;
    }
    Fetch fetch;
    if (extent != extents_.end()) {
      fetch = {extent->first, extent->second.end, extent->second.ticket};
    } else {
      const std::uint64_t gap_end = GapEnd(at);
      if (disk_ != nullptr && not_on_disk != at) {
        lock.Unlock();
        const std::size_t got = disk_->Read(at, rest.first(std::min(end, gap_end) - at));
        lock.Lock();
        at += got;
        not_on_disk = got == 0 ? at : version_.size;
        continue;  // somebody may have begun to fetch it meanwhile
      }
      const std::uint64_t begin = Floor(at);
      const std::uint64_t fetch_end = std::min({Ceiling(end), gap_end, begin + kLargestFetch});
      fetch = Register(begin, fetch_end, source.id, resources_.budget.Take(fetch_end - begin));
      Keep(extents_.find(begin));
    }
    Start(fetch);
    lock.Unlock();
    const std::size_t got = TRY(Bring(ctx, source, fetch));
    if (got < fetch.end - fetch.begin) {
      return static_cast<std::size_t>(std::max(at, fetch.begin + got) - offset);
    }
    lock.Lock();
  }
  DropKept();  // only now: a fetch must serve at least the read that asked for it
  return out.size();
}

bool FileBlocks::ReadFromMemory(const Source& source, std::uint64_t offset, std::span<std::byte> out) {
  const std::uint64_t end = offset + out.size();
  struct Piece {
    std::shared_ptr<const std::byte[]> bytes;
    std::uint64_t skip = 0;
    std::size_t length = 0;
  };
  std::vector<Piece> pieces;
  {
    MutexLock lock(mutex_);
    for (std::uint64_t at = offset; at < end;) {
      const auto extent = Covering(at);
      if (extent == extents_.end() || !extent->second.ready) {
        return false;
      }
      at = extent->second.end;
    }
    for (std::uint64_t at = offset; at < end;) {
      const auto extent = Covering(at);
      const std::uint64_t begin = extent->first;
      const std::size_t length = std::min(end, extent->second.end) - at;
      pieces.push_back({Consume(extent, length), at - begin, length});
      at += length;
    }
    NoteRead(Clock::now());
  }
  LookAhead(source, offset, out.size());
  for (const Piece& piece : pieces) {
    std::memcpy(out.data(), piece.bytes.get() + piece.skip, piece.length);
    out = out.subspan(piece.length);
  }
  return true;
}

bool FileBlocks::Has(std::uint64_t offset, std::uint64_t length) const {
  const std::uint64_t end = offset + length;
  for (std::uint64_t at = offset; at < end;) {
    std::uint64_t gap_end = 0;
    {
      MutexLock lock(mutex_);
      if (const auto extent = Covering(at); extent != extents_.end()) {
        if (!extent->second.ready) {
          return false;
        }
        at = extent->second.end;
        continue;
      }
      gap_end = std::min(end, GapEnd(at));
    }
    const std::uint64_t on_disk = disk_ == nullptr ? at : disk_->PresentEnd(at, gap_end);
    if (on_disk <= at) {
      return false;
    }
    at = on_disk;
  }
  return true;
}

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

void FileBlocks::LookAhead(const Source& source, std::uint64_t offset, std::uint64_t length) {
  if (source.closed.stop_requested()) {
    return;
  }
  // Half of the budget for all that read now: the other half is for what was fetched and not read yet.
  const std::uint64_t files = std::max<std::size_t>(resources_.active.load(), 1);
  const std::uint64_t fair = resources_.budget.limit() / 2 / files;
  ReadAhead::Wish wish;
  {
    MutexLock lock(mutex_);
    const std::uint64_t streams = std::max<std::size_t>(ahead_.running(), 1);
    wish = ahead_.OnRead(offset, length, resources_.meter.Window(fair / streams));
  }
  if (wish.range.empty()) {
    return;
  }
  const std::uint64_t end = std::min(wish.range.end, version_.size);
  std::uint64_t begin = Ceiling(wish.range.begin);
  if (disk_ != nullptr && begin < end) {
    begin = disk_->PresentEnd(begin, end);
  }
  if (begin >= end) {
    MutexLock lock(mutex_);
    ahead_.Planned(wish.stream, begin);  // nothing to fetch: the next look begins where this one ended
    return;
  }
  std::vector<Fetch> fetches;
  {
    MutexLock lock(mutex_);
    fetches = PlanAhead(source, wish, begin, end);
  }
  StartAhead(source, fetches);
}

std::vector<FileBlocks::Fetch> FileBlocks::PlanAhead(const Source& source, const ReadAhead::Wish& wish,
                                                     std::uint64_t begin, std::uint64_t end) {
  // Whole pieces, so that a window that moves by a little does not cost a little request each time.
  const std::uint64_t piece = std::clamp(Floor(wish.window / 4), kSmallestFetchAhead, kLargestFetch);
  std::vector<Fetch> fetches;
  std::uint64_t at = begin;
  while (at < end) {
    if (const auto extent = Covering(at); extent != extents_.end()) {
      at = extent->second.end;
      continue;
    }
    const std::uint64_t gap_end = GapEnd(at);
    const std::uint64_t piece_end = std::min(gap_end, (at / piece + 1) * piece);
    if (piece_end > end && piece_end != gap_end) {
      break;
    }
    MemoryBudget::Share share = RoomAhead(piece_end - at);
    if (!share) {
      break;
    }
    fetches.push_back(Register(at, piece_end, source.id, std::move(share)));
    at = piece_end;
  }
  ahead_.Planned(wish.stream, at);
  return fetches;
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

void FileBlocks::GiveUp(const Fetch& fetch) {
  MutexLock lock(mutex_);
  const auto extent = extents_.find(fetch.begin);
  if (extent != extents_.end() && extent->second.ticket == fetch.ticket) {
    extents_.erase(extent);
  }
  changed_.NotifyAll();
}

Result<std::size_t> FileBlocks::Bring(const OpContext& ctx, const Source& source, const Fetch& fetch) {
  const std::size_t length = fetch.end - fetch.begin;
  const std::shared_ptr<std::byte[]> bytes = std::make_shared_for_overwrite<std::byte[]>(length);
  const std::span<std::byte> span(bytes.get(), length);
  const TimePoint began = Clock::now();
  const Result<std::size_t> got = source.file->Read(ctx, fetch.begin, span);
  const TimePoint ended = Clock::now();
  if (!got.ok() || *got < length) {
    GiveUp(fetch);
    return got;
  }
  resources_.meter.Fetched(length, began, ended);
  {
    MutexLock lock(mutex_);
    Extent& extent = extents_.at(fetch.begin);  // only ready ones are dropped
    extent.ready = true;
    extent.bytes = bytes;
    extent.fetched_at = ended;
    // From now on, because whoever waited for these bytes may be done with the file before the disk has them.
    if (disk_ != nullptr) {
      staged_.push_back({.source = source.id, .ticket = fetch.ticket, .fetched_at = ended, .pending = {}});
    }
    changed_.NotifyAll();
  }
  if (disk_ != nullptr) {
    Store(fetch, span);
  }
  return got;
}

void FileBlocks::Store(const Fetch& fetch, std::span<const std::byte> bytes) {
  BlockFile::Pending pending = disk_->Stage(fetch.begin, bytes);
  {
    MutexLock lock(mutex_);
    const auto staged = std::ranges::find(staged_, fetch.ticket, &Staged::ticket);
    if (staged == staged_.end()) {
      return;  // doubted meanwhile
    }
    if (!staged->confirmed) {
      staged->written = true;
      staged->pending = std::move(pending);
      return;
    }
    staged_.erase(staged);
  }
  disk_->Commit(std::move(pending));
}

void FileBlocks::Confirmed(std::uint64_t source, TimePoint asked_at) {
  std::vector<Staged> sure;
  {
    MutexLock lock(mutex_);
    for (Staged& staged : staged_) {
      staged.confirmed = staged.confirmed || (staged.source == source && staged.fetched_at <= asked_at);
    }
    const auto [first, last] = std::ranges::stable_partition(
        staged_, [](const Staged& staged) { return !staged.confirmed || !staged.written; });
    sure.assign(std::move_iterator(first), std::move_iterator(last));
    staged_.erase(first, last);
  }
  for (Staged& staged : sure) {
    disk_->Commit(std::move(staged.pending));
  }
}

void FileBlocks::Doubt(std::uint64_t source, TimePoint confirmed_at) {
  MutexLock lock(mutex_);
  std::erase_if(staged_, [source](const Staged& staged) { return staged.source == source && !staged.confirmed; });
  std::erase_if(extents_, [source, confirmed_at](const Extents::value_type& extent) {
    return extent.second.ready && extent.second.source == source && extent.second.fetched_at > confirmed_at;
  });
}

bool FileBlocks::Unconfirmed(std::uint64_t source) const {
  MutexLock lock(mutex_);
  return std::ranges::any_of(
      staged_, [source](const Staged& staged) { return staged.source == source && !staged.confirmed; });
}

void FileBlocks::DropUnlessReadSince(TimePoint then) {
  MutexLock lock(mutex_);
  if (last_read_ >= then) {
    return;
  }
  std::erase_if(extents_, [](const Extents::value_type& extent) { return extent.second.ready; });
  if (std::exchange(active_, false)) {
    --resources_.active;
  }
}

}  // namespace bt
