// The bytes of one version of one file: on disk, in memory, or on their way. What a reader asks for is answered from
// the nearest of them; misses of the same bytes share one fetch, and each waits by its own deadline. While a reader
// goes forward, the bytes behind are fetched ahead on the pool.
//
// Bytes belong to the version only once a later look at the file, through the handle that brought them, still shows it
// (Confirmed): only then do they count on disk. What was fetched before a look that shows another version is dropped
// (Doubt).
//
// Threading: any thread. No lock is held while bytes are fetched, copied or stored.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <vector>

#include "cache/block_file.h"
#include "cache/block_key.h"
#include "cache/fetch_pool.h"
#include "cache/memory_budget.h"
#include "cache/read_ahead.h"
#include "cache/transfer_meter.h"
#include "transport/base/shared_bytes.h"
#include "transport/remote_fs.h"

namespace bt {

// What the files of a mount share for reading. Outlives them all.
struct ReadResources {
  MemoryBudget& budget;
  FetchPool& pool;
  TransferMeter& meter;
  std::atomic<std::size_t>& streams;  // that are being read now, of all files
};

class FileBlocks : public std::enable_shared_from_this<FileBlocks> {
 public:
  // A handle that shows this version.
  struct Source {
    std::uint64_t id = 0;  // unlike that of any other handle
    std::shared_ptr<RemoteFile> file;
    std::stop_token closed;  // nothing is fetched ahead through it any more
  };

  // `disk` may be null.
  FileBlocks(const ReadResources& resources, const FileVersion& version, std::shared_ptr<BlockFile> disk);
  ~FileBlocks();
  FileBlocks(const FileBlocks&) = delete;
  FileBlocks& operator=(const FileBlocks&) = delete;

  const FileVersion& version() const { return version_; }
  const std::shared_ptr<BlockFile>& disk() const { return disk_; }

  // Fills `out`, which must lie within the version's size. Fewer bytes than asked mean that the server's file ends
  // earlier: it is of this version no longer. Blocks: 0 RT from memory and disk, else 1 RT.
  Result<std::size_t> Read(const OpContext& ctx, const Source& source, std::uint64_t offset, std::span<std::byte> out);
  // The same when memory has all of it in at most kMostPieces pieces, which are not copied; nothing otherwise, and then
  // nothing has happened. Does not block.
  static constexpr std::size_t kMostPieces = 512;
  std::optional<SharedPieces> ReadFromMemory(const Source& source, std::uint64_t offset, std::size_t length);
  // Whether Read() would succeed without the server. Cheap.
  bool Has(std::uint64_t offset, std::uint64_t length) const;

  // A look that was asked for at `asked_at` through the source showed this version.
  void Confirmed(std::uint64_t source, TimePoint asked_at);
  // A look showed another one; the last that showed this one was asked for at `confirmed_at`.
  void Doubt(std::uint64_t source, TimePoint confirmed_at);
  bool Unconfirmed(std::uint64_t source) const;

  // Gives back what memory holds and nobody waits for, when nobody has read since `then`.
  void DropUnlessReadSince(TimePoint then);

 private:
  struct Extent {
    std::uint64_t end = 0;  // of the file; both ends lie on granules, or at the end of the file
    std::uint64_t ticket = 0;
    std::uint64_t source = 0;
    bool started = false;  // else it waits for a thread of the pool, or for somebody in a hurry
    bool ready = false;
    bool from_disk = false;                    // it is brought from there
    std::shared_ptr<const std::byte[]> bytes;  // once ready
    TimePoint fetched_at;
    std::uint64_t consumed = 0;  // bytes that were copied out
    bool kept = false;           // in kept_
    std::size_t waiting = 0;     // readers, for whom it stays though everything was read
    bool storing = false;        // the disk does not have it yet: it stays, so that it is always in one of them
    MemoryBudget::Share share;
  };
  static constexpr std::uint64_t kLargestFetch = 1U << 20U;  // bytes; several requests of the server's largest size
  using Extents = std::map<std::uint64_t, Extent>;           // by where they begin
  // Bytes that the disk got or is getting, and that do not count there yet.
  struct Staged {
    std::uint64_t source = 0;
    std::uint64_t ticket = 0;
    TimePoint fetched_at;
    bool written = false;    // else a thread is at it
    bool confirmed = false;  // before they were written: they count as soon as they are
    BlockFile::Pending pending;
  };
  struct Fetch {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::uint64_t ticket = 0;
    bool from_disk = false;
  };

  template <typename Map>
  static auto CoveringIn(Map& extents, std::uint64_t at);
  Extents::iterator Covering(std::uint64_t at) REQUIRES(mutex_);
  Extents::const_iterator Covering(std::uint64_t at) const REQUIRES(mutex_);
  std::uint64_t GapEnd(std::uint64_t at) const REQUIRES(mutex_);
  Fetch Register(std::uint64_t begin, std::uint64_t end, std::uint64_t source, MemoryBudget::Share share,
                 bool from_disk) REQUIRES(mutex_);
  // False when somebody else has begun, or nobody wants it any more.
  bool Start(const Fetch& fetch) REQUIRES(mutex_);
  // Waits for a change, and holds the extent for this reader until then.
  void Await(const OpContext& ctx, Extents::iterator extent) REQUIRES(mutex_);
  // Everything of it was read, and nobody needs it here any more.
  void DropIfDone(Extents::iterator extent) REQUIRES(mutex_);
  void DropKept() REQUIRES(mutex_);
  // Where the bytes of a ready extent are, counted as read.
  std::shared_ptr<const std::byte[]> Consume(Extents::iterator extent, std::uint64_t length) REQUIRES(mutex_);
  Result<std::size_t> Serve(const OpContext& ctx, const Source& source, std::uint64_t offset, std::span<std::byte> out);
  // Fetches what a read makes likely to be wanted next. The stream that it belongs to, for Served().
  std::optional<std::size_t> LookAhead(const Source& source, std::uint64_t offset, std::uint64_t length);
  void Served(std::optional<std::size_t> stream);
  void LookAheadOnDisk(const Source& source, const ReadAhead::Wish& wish);
  void LookAheadOnServer(const Source& source, const ReadAhead::Wish& wish);
  static std::uint64_t PieceOf(const ReadAhead::Wish& wish);
  // What of `range` nobody brings yet, in whole pieces as far as memory goes; the last one is short where nothing
  // `goes_on` behind the range.
  struct Plan {
    std::uint64_t until = 0;
    std::vector<Fetch> fetches;
  };
  Plan PlanAhead(const Source& source, const ReadAhead::Wish& wish, ReadAhead::Range range, bool goes_on,
                 bool from_disk) REQUIRES(mutex_);
  MemoryBudget::Share RoomAhead(std::uint64_t bytes) REQUIRES(mutex_);
  void CountStreams(std::size_t running) REQUIRES(mutex_);
  void StartAhead(const Source& source, const std::vector<Fetch>& fetches);
  // Brings the bytes of a registered extent. The number of bytes: fewer than asked when the file ends earlier.
  Result<std::size_t> Bring(const OpContext& ctx, const Source& source, const Fetch& fetch);
  void Arrived(const Fetch& fetch, std::shared_ptr<const std::byte[]> bytes, TimePoint when) REQUIRES(mutex_);
  // Hands fetched bytes, which are in staged_, to the disk.
  void Store(const Fetch& fetch, std::span<const std::byte> bytes);
  void Stored(const Fetch& fetch);
  void GiveUp(const Fetch& fetch);

  const ReadResources resources_;
  const FileVersion version_;
  const std::shared_ptr<BlockFile> disk_;

  mutable Mutex mutex_;
  CondVar changed_;  // an extent became ready or went
  Extents extents_ GUARDED_BY(mutex_);
  std::uint64_t last_ticket_ GUARDED_BY(mutex_) = 0;
  ReadAhead ahead_ GUARDED_BY(mutex_);
  // Extents that were not fetched ahead, and go when others come. Oldest first.
  std::deque<std::uint64_t> kept_ GUARDED_BY(mutex_);
  std::vector<Staged> staged_ GUARDED_BY(mutex_);
  TimePoint last_read_ GUARDED_BY(mutex_);
  std::size_t streams_ GUARDED_BY(mutex_) = 0;  // that this file counts in resources_.streams
};

}  // namespace bt
