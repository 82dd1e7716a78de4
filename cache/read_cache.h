// Everything that makes reading quick, for one mount: memory and its budget, the threads that fetch ahead, the blocks
// on disk, and the versions of files that are open.
//
// Threading: any thread. One thread of its own confirms and forgets while files are open.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "cache/block_cache.h"
#include "cache/fetch_pool.h"
#include "cache/file_blocks.h"
#include "cache/file_reader.h"
#include "cache/memory_budget.h"
#include "cache/path_epochs.h"
#include "cache/transfer_meter.h"
#include "transport/server_clock.h"

namespace bt {

struct ReadCacheOptions {
  std::string workspace;                      // names the container on disk
  std::uint64_t memory = 256ULL << 20U;       // bytes for everything that is read and fetched ahead
  std::chrono::milliseconds freshness{1000};  // how old the knowledge of a file's version may be when bytes are shown
  std::size_t threads = 64;                   // fetches of up to 1 MiB on their way at the same time
  std::shared_ptr<BlockCache> disk;           // null: nothing is kept
};

class ReadCache {
 public:
  explicit ReadCache(ReadCacheOptions options);
  ~ReadCache();  // no reader may be in use any more
  ReadCache(const ReadCache&) = delete;
  ReadCache& operator=(const ReadCache&) = delete;

  std::shared_ptr<FileReader> Open(FileReader::Opened opened);

  // Which files are at which paths, as far as this machine changes it. Ask it before a file is opened.
  PathEpochs& epochs() { return *epochs_; }

  // All bytes of a version that was shown after `asked_at`, when they are known without asking the server: a disk may
  // be read. Null otherwise, and when the version is not settled.
  std::shared_ptr<const std::vector<std::byte>> Contents(const RemotePath& path, PathEpochs::Epoch epoch,
                                                         const FileVersion& version, TimePoint asked_at);

  // Holds something for a while that somebody may come for: with the blocks of a file go the bytes in memory.
  void Keep(std::shared_ptr<const void> what, TimePoint until);

  // Waits until what closed files have brought is confirmed on disk. Before unmounting.
  void Finish(const OpContext& ctx);

  const ReadCacheOptions& options() const { return options_; }
  ServerClock& clock() { return clock_; }
  std::uint64_t memory_used() const { return budget_.used(); }

 private:
  friend class FileReader;

  // Of a settled version in an epoch: the same object for everybody. `prefix` is an older version whose bytes are its
  // beginning.
  std::shared_ptr<FileBlocks> Shared(const RemotePath& path, PathEpochs::Epoch epoch, const FileVersion& version,
                                     const FileBlocks* prefix);
  std::shared_ptr<FileBlocks> Private(const FileVersion& version);
  // Runs on the pool; false when it has stopped.
  bool InBackground(std::function<void(const std::stop_token&)> task);

  void Run(const std::stop_token& stop);

  // path, size, mtime, epoch
  using SharedKey = std::tuple<std::string, std::uint64_t, std::int64_t, PathEpochs::Epoch>;

  const ReadCacheOptions options_;
  const std::unique_ptr<PathEpochs> epochs_;
  ServerClock clock_;
  TransferMeter meter_;
  MemoryBudget budget_;
  std::atomic<std::size_t> streams_{0};
  std::atomic<std::uint64_t> last_id_{0};

  Mutex mutex_;
  CondVar changed_;
  std::map<SharedKey, std::weak_ptr<FileBlocks>> shared_ GUARDED_BY(mutex_);
  std::vector<std::weak_ptr<FileReader>> readers_ GUARDED_BY(mutex_);
  struct Kept {
    std::shared_ptr<const void> what;
    TimePoint until;
  };
  std::vector<Kept> kept_ GUARDED_BY(mutex_);
  std::size_t in_background_ GUARDED_BY(mutex_) = 0;  // tasks that have not ended

  FetchPool pool_;       // its tasks use the rest
  std::jthread thread_;  // last: it uses the rest, too
};

}  // namespace bt
