#include "cache/file_blocks.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "transport/base/page_bytes.h"

namespace bt {

namespace {

// What somebody asked for is kept a little for its neighbours, who come next in many programs.
constexpr std::size_t kKeptAfterAsking = 32;

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
                                       MemoryBudget::Share share, bool from_disk) {
  Extent extent;
  extent.end = end;
  extent.ticket = ++last_ticket_;
  extent.source = source;
  extent.from_disk = from_disk;
  extent.share = std::move(share);
  extents_.emplace(begin, std::move(extent));
  return {begin, end, last_ticket_, from_disk};
}

bool FileBlocks::Start(const Fetch& fetch) {
  const auto extent = extents_.find(fetch.begin);
  return extent != extents_.end() && extent->second.ticket == fetch.ticket &&
         !std::exchange(extent->second.started, true);
}

std::shared_ptr<const std::byte[]> FileBlocks::Consume(Extents::iterator extent, std::uint64_t length) {
  std::shared_ptr<const std::byte[]> bytes = extent->second.bytes;
  extent->second.consumed += length;
  DropIfDone(extent);
  return bytes;
}

void FileBlocks::DropIfDone(Extents::iterator extent) {
  const auto& [begin, held] = *extent;
  if (held.consumed >= held.end - begin && held.waiting == 0 && !held.kept && !held.storing) {
    extents_.erase(extent);  // the kernel has it, and so has the disk
  }
}

void FileBlocks::Await(const OpContext& ctx, Extents::iterator extent) {
  const auto [begin, ticket] = std::pair(extent->first, extent->second.ticket);
  ++extent->second.waiting;
  changed_.Wait(mutex_, ctx);
  const auto still = extents_.find(begin);
  if (still != extents_.end() && still->second.ticket == ticket) {
    --still->second.waiting;
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

void FileBlocks::CountStreams(std::size_t running) {
  resources_.streams += running;
  resources_.streams -= std::exchange(streams_, running);
}

Result<std::size_t> FileBlocks::Read(const OpContext& ctx, const Source& source, std::uint64_t offset,
                                     std::span<std::byte> out) {
  const std::optional<std::size_t> stream = LookAhead(source, offset, out.size());
  Result<std::size_t> got = Serve(ctx, source, offset, out);
  Served(stream);
  return got;
}

Result<std::size_t> FileBlocks::Serve(const OpContext& ctx, const Source& source, std::uint64_t offset,
                                      std::span<std::byte> out) {
  const std::uint64_t end = offset + out.size();
  std::uint64_t not_on_disk = version_.size;  // where the disk was asked in vain
  std::uint64_t at = offset;
  MutexLock lock(mutex_);
  last_read_ = Clock::now();
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
      Await(ctx, extent);
      continue;
    }
    Fetch fetch;
    if (extent != extents_.end()) {
      fetch = {extent->first, extent->second.end, extent->second.ticket, extent->second.from_disk};
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
      const std::uint64_t begin = GranuleFloor(at);
      const std::uint64_t fetch_end = std::min({GranuleCeiling(end), gap_end, begin + kLargestFetch});
      fetch = Register(begin, fetch_end, source.id, resources_.budget.Take(fetch_end - begin), false);
      extents_.at(begin).kept = true;
      kept_.push_back(begin);
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

std::optional<SharedPieces> FileBlocks::ReadFromMemory(const Source& source, std::uint64_t offset, std::size_t length) {
  const std::uint64_t end = offset + length;
  SharedPieces pieces;
  {
    MutexLock lock(mutex_);
    std::size_t count = 0;
    for (std::uint64_t at = offset; at < end;) {
      const auto extent = Covering(at);
      if (extent == extents_.end() || !extent->second.ready || ++count > kMostPieces) {
        return std::nullopt;
      }
      at = extent->second.end;
    }
    pieces.reserve(count);
    for (std::uint64_t at = offset; at < end;) {
      const auto extent = Covering(at);
      const std::uint64_t skip = at - extent->first;
      const std::size_t size = std::min(end, extent->second.end) - at;
      std::shared_ptr<const std::byte[]> bytes = Consume(extent, size);
      const std::byte* const first = bytes.get() + skip;
      pieces.push_back({std::move(bytes), {first, size}});
      at += size;
    }
    last_read_ = Clock::now();
  }
  Served(LookAhead(source, offset, length));
  return pieces;
}

bool FileBlocks::Has(std::uint64_t offset, std::uint64_t length) const {
  const std::uint64_t end = offset + length;
  for (std::uint64_t at = offset; at < end;) {
    std::uint64_t gap_end = 0;
    {
      MutexLock lock(mutex_);
      if (const auto extent = Covering(at); extent != extents_.end()) {
        if (!extent->second.ready && !extent->second.from_disk) {
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
  const std::shared_ptr<std::byte[]> bytes = MakePageBytes(length);
  const std::span<std::byte> span(bytes.get(), length);
  if (fetch.from_disk) {
    if (disk_->Read(fetch.begin, span) == length) {
      MutexLock lock(mutex_);
      Arrived(fetch, bytes, Clock::now());
      return length;
    }
    MutexLock lock(mutex_);
    extents_.at(fetch.begin).from_disk = false;  // evicted, or it did not verify
  }
  const TimePoint began = Clock::now();
  Result<std::size_t> got = source.file->Read(ctx, fetch.begin, span);
  const TimePoint ended = Clock::now();
  if (!got.ok() || *got < length) {
    GiveUp(fetch);
    return got;
  }
  resources_.meter.Fetched(length, began, ended);
  {
    MutexLock lock(mutex_);
    // From now on, because whoever waited for these bytes may be done with the file before the disk has them.
    if (disk_ != nullptr) {
      staged_.push_back({.source = source.id, .ticket = fetch.ticket, .fetched_at = ended, .pending = {}});
    }
    Arrived(fetch, bytes, ended);
  }
  if (disk_ != nullptr) {
    Store(fetch, span);
    Stored(fetch);
  }
  return got;
}

void FileBlocks::Arrived(const Fetch& fetch, std::shared_ptr<const std::byte[]> bytes, TimePoint when) {
  Extent& extent = extents_.at(fetch.begin);  // only ready ones are dropped
  extent.ready = true;
  extent.bytes = std::move(bytes);
  extent.fetched_at = when;
  extent.storing = disk_ != nullptr && !extent.from_disk;
  changed_.NotifyAll();
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

void FileBlocks::Stored(const Fetch& fetch) {
  MutexLock lock(mutex_);
  const auto extent = extents_.find(fetch.begin);
  if (extent != extents_.end() && extent->second.ticket == fetch.ticket) {
    extent->second.storing = false;
    DropIfDone(extent);
  }
}

void FileBlocks::Confirmed(std::uint64_t source, TimePoint asked_at) {
  std::vector<Staged> sure;
  {
    MutexLock lock(mutex_);
    for (Staged& staged : staged_) {
      staged.confirmed = staged.confirmed || (staged.source == source && staged.fetched_at <= asked_at);
    }
    const auto first = std::stable_partition(staged_.begin(), staged_.end(),
                                             [](const Staged& staged) { return !staged.confirmed || !staged.written; });
    sure.assign(std::move_iterator(first), std::move_iterator(staged_.end()));
    staged_.erase(first, staged_.end());
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
  return std::ranges::any_of(staged_,
                             [source](const Staged& staged) { return staged.source == source && !staged.confirmed; });
}

void FileBlocks::DropUnlessReadSince(TimePoint then) {
  MutexLock lock(mutex_);
  if (last_read_ >= then) {
    return;
  }
  std::erase_if(extents_, [](const Extents::value_type& extent) { return extent.second.ready; });
  CountStreams(0);
}

}  // namespace bt
