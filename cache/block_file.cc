#include "cache/block_file.h"

#include <algorithm>

#include "cache/block_file_slots.h"

namespace bt {

void BlockFileSlots::Filled(const std::shared_ptr<BlockFileSlot>& slot) {
  std::shared_ptr<BlockFileSlot> oldest;
  {
    MutexLock lock(mutex_);
    filled_.push_back(slot);
    if (filled_.size() > most_) {
      oldest = filled_.front().lock();
      filled_.pop_front();
    }
  }
  if (oldest && oldest != slot) {
    oldest->Put(nullptr);
  }
}

BlockFile::BlockFile(BlockKey key, std::filesystem::path file, std::shared_ptr<BlockCacheLedger> ledger,
                     std::shared_ptr<BlockFileSlots> slots)
    : key_(std::move(key)),
      file_(std::move(file)),
      ledger_(std::move(ledger)),
      slots_(std::move(slots)),
      slot_(std::make_shared<BlockFileSlot>()) {}

BlockFile::~BlockFile() = default;

void BlockFile::Close() { slot_->Put(nullptr); }

void BlockFile::Failed(const Error& error) const {
  // What is wrong with one file only is no reason to stop storing others.
  if (error.code != Code::kTooBig && error.code != Code::kNameTooLong && error.code != Code::kExists) {
    ledger_->Failed(error);
  }
}

std::shared_ptr<OpenBlocks> BlockFile::Opened() const {
  if (auto blocks = slot_->Get()) {
    return blocks;
  }
  // Asked for each time while there is none: another mount may have made it. It costs a microsecond where the answer
  // is "no", beside a round trip for the bytes.
  auto blocks = OpenBlocks::Open(file_, key_);
  if (!blocks) {
    return nullptr;
  }
  slot_->Put(*blocks);
  slots_->Filled(slot_);
  return std::move(*blocks);
}

std::shared_ptr<OpenBlocks> BlockFile::OpenedForWriting() {
  auto blocks = slot_->Get();
  // Evicted or cleared, perhaps by another process: what is stored there would be lost.
  if (blocks && blocks->alive() && blocks->writable()) {
    return blocks;
  }
  auto opened = OpenBlocks::OpenOrCreate(file_, key_);
  if (!opened || !(*opened)->writable()) {
    Failed(opened ? CacheError(EROFS, "write", file_) : opened.error());
    return nullptr;
  }
  slot_->Put(*opened);
  slots_->Filled(slot_);
  return std::move(*opened);
}

std::size_t BlockFile::Read(std::uint64_t offset, std::span<std::byte> out) {
  const std::uint64_t size = key_.version.size;
  if (offset >= size || out.empty()) {
    return 0;
  }
  const auto blocks = Opened();
  if (!blocks) {
    return 0;
  }
  const std::uint64_t end = offset + std::min<std::uint64_t>(out.size(), size - offset);
  std::uint64_t at = offset;
  while (at < end) {
    const std::uint64_t first = at / kGranule;
    const std::uint64_t extent = first / kExtentGranules;
    const std::uint64_t stop = std::min({GranulesOf(end), (extent + 1) * kExtentGranules});
    const ExtentMap map = blocks->ReadMap(extent);
    std::uint64_t behind = first;
    while (behind < stop && map.checksums.at(behind % kExtentGranules) != 0) {
      ++behind;
    }
    if (behind == first) {
      break;
    }
    blocks->NoteUse(extent, map);
    const std::uint64_t part_end = std::min(end, behind * kGranule);
    const auto part = blocks->ReadVerified(map, first, behind - first, at, out.subspan(at - offset, part_end - at));
    if (part.problem != 0) {
      Failed(CacheError(part.problem, "read", file_));
    }
    ledger_->CountBad(part.bad ? 1 : 0);
    at += part.good;
    if (at < part_end || behind < stop) {
      break;
    }
  }
  // A file that was removed is let go when it has nothing more to give, so that its space is.
  if (at == offset && !blocks->alive()) {
    Close();
  }
  return at - offset;
}

std::uint64_t BlockFile::PresentEnd(std::uint64_t offset, std::uint64_t limit) const {
  limit = std::min(limit, key_.version.size);
  if (offset >= limit) {
    return offset;
  }
  const auto blocks = Opened();
  if (!blocks) {
    return offset;
  }
  const std::uint64_t granules = GranulesOf(limit);
  std::uint64_t granule = offset / kGranule;
  while (granule < granules) {
    const ExtentMap map = blocks->ReadMap(granule / kExtentGranules);
    do {
      if (map.checksums.at(granule % kExtentGranules) == 0) {
        return std::max(offset, granule * kGranule);
      }
      ++granule;
    } while (granule < granules && granule % kExtentGranules != 0);
  }
  return limit;
}

BlockFile::Pending BlockFile::Stage(std::uint64_t offset, std::span<const std::byte> bytes) {
  Pending pending;
  const std::uint64_t size = key_.version.size;
  if (offset >= size) {
    return pending;
  }
  bytes = bytes.first(std::min<std::uint64_t>(bytes.size(), size - offset));
  const std::uint64_t end = offset + bytes.size();
  std::uint64_t granule = GranulesOf(offset);
  const std::uint64_t stop = end == size ? GranulesOf(size) : end / kGranule;
  if (granule >= stop || !ledger_->MayStore(bytes.size())) {
    return pending;
  }
  const auto blocks = OpenedForWriting();
  if (!blocks) {
    return pending;
  }
  pending.blocks_ = blocks;
  const auto bytes_of = [&](std::uint64_t first, std::uint64_t behind) {
    const std::uint64_t begin = first * kGranule;
    return bytes.subspan(begin - offset, std::min(end, behind * kGranule) - begin);
  };
  while (granule < stop) {
    const std::uint64_t extent = granule / kExtentGranules;
    const std::uint64_t extent_stop = std::min(stop, (extent + 1) * kExtentGranules);
    const ExtentMap map = blocks->ReadMap(extent);
    const auto present = [&map](std::uint64_t i) { return map.checksums.at(i % kExtentGranules) != 0; };
    while (granule < extent_stop) {
      if (present(granule)) {
        ++granule;
        continue;
      }
      Pending::Run run{.granule = granule, .checksums = {}};
      const std::uint64_t first = granule;
      for (; granule < extent_stop && !present(granule); ++granule) {
        run.checksums.push_back(GranuleChecksum(blocks->salt(), granule, bytes_of(granule, granule + 1)));
      }
      const auto run_bytes = bytes_of(first, granule);
      if (auto written = blocks->WriteBytes(first, run_bytes); !written) {
        Failed(written.error());
        return pending;
      }
      ledger_->Stored(run_bytes.size());
      pending.runs_.push_back(std::move(run));
    }
    blocks->NoteUse(extent, map);
  }
  return pending;
}

void BlockFile::Commit(Pending pending) {
  for (const Pending::Run& run : pending.runs_) {
    if (auto written = pending.blocks_->WriteChecksums(run.granule, run.checksums); !written) {
      Failed(written.error());
      return;
    }
  }
}

}  // namespace bt
