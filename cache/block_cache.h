// Blocks of files on this machine's disk: what was read once is not fetched again, not even by the next mount.
//
// One directory serves any number of mounts and processes at a time. It holds at most `limit` bytes and always leaves
// `reserve` bytes of its disk free; what was used longest ago goes first. A cache that fails never fails a read: it has
// nothing, and keeps nothing, and tries again after a while. The format on disk and why no crash can make it wrong:
// FORMAT.md.
//
// Threading: any thread. One thread of its own looks through the directory and evicts.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>

#include "cache/block_cache_ledger.h"
#include "cache/block_file.h"
#include "cache/block_key.h"
#include "cache/path_epochs.h"
#include "transport/base/result.h"
#include "transport/base/sync.h"

namespace bt {

struct BlockCacheOptions {
  std::filesystem::path directory;  // absolute
  std::uint64_t limit = 0;          // bytes on disk; 0: a tenth of the disk, at most 50 GiB
  // Bytes of the disk that stay free whatever the limit says. Default: 1 GiB or 2 % of the disk, whichever is more, but
  // no more than a tenth of it.
  std::optional<std::uint64_t> reserve = std::nullopt;
  Duration retry_after = std::chrono::seconds(30);  // after the disk refused
  std::size_t open_files = 256;                     // at most, not counting those just in use
};

struct BlockCacheUsage {
  std::uint64_t bytes = 0;  // on disk; of all mounts as of the last look, plus what this one stored since
  std::uint64_t limit = 0;
  std::uint64_t bad_granules = 0;  // did not verify and were forgotten, since the cache was opened
  std::string trouble;             // why nothing is stored at the moment; empty when all is well
};

class BlockCache {
 public:
  // Makes the directory (0700). kConfig with a text for the user when it cannot be used at all: the caller warns and
  // goes on without a cache. Takes no longer when much is cached.
  static Result<std::unique_ptr<BlockCache>> Open(const BlockCacheOptions& options);
  ~BlockCache();
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;

  // Never fails: a file that cannot be opened has nothing and keeps nothing. The same key gives the same object while
  // that lives. Touches the disk only when it is used.
  std::shared_ptr<BlockFile> File(const BlockKey& key);

  // The remote file grew from `old` to `key` (same path and epoch, larger size), and the caller has checked that what
  // `old` had is still its beginning: takes that over, except a last granule that was short. `old` then has nothing.
  std::shared_ptr<BlockFile> Grown(const BlockKey& old, const BlockKey& key);

  // The epochs of the workspace's paths, which all mounts of it share.
  std::unique_ptr<PathEpochs> Epochs(std::string_view workspace) const;

  BlockCacheUsage usage() const;

 private:
  BlockCache(std::shared_ptr<BlockCacheLedger> ledger, std::size_t open_files);
  void Evict(const std::stop_token& stop);

  const std::shared_ptr<BlockCacheLedger> ledger_;
  const std::shared_ptr<BlockFileSlots> slots_;

  Mutex mutex_;
  // By file name. Names of files that are gone are swept when the map has doubled.
  std::unordered_map<std::string, std::weak_ptr<BlockFile>> files_ GUARDED_BY(mutex_);
  std::size_t sweep_at_ GUARDED_BY(mutex_) = 1024;

  std::jthread evictor_;
};

}  // namespace bt
