// Fetches small files whole before anybody opens them, many at a time: then opening and reading them costs no round
// trip (Filesystem::Open, KnownFile). What is fetched stays in memory for a moment, and on disk where there is a cache.
//
// Bounds: kSmallFile bytes a file, an eighth of the memory for reading in all, kThreads files on their way at a time.
// Who wants a file that still waits for its turn takes it out, so nothing here is in anybody's way for long.
//
// Threading: any thread. Nothing waits for the network but the threads, which end with the object, and Await().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "cache/fetch_pool.h"
#include "cache/memory_budget.h"
#include "cache/read_cache.h"
#include "fs/inode_table.h"
#include "fs/renames.h"
#include "transport/base/sync.h"
#include "transport/remote_fs.h"

namespace bt {

class SmallFilesAhead {
 public:
  static constexpr std::uint64_t kSmallFile = 128U << 10U;  // bytes

  // All must outlive the object. `reachable`: empty: always.
  SmallFilesAhead(RemoteFs& remote, InodeTable& inodes, const Renames& renames, ReadCache& reads,
                  std::function<bool()> reachable);
  ~SmallFilesAhead();
  SmallFilesAhead(const SmallFilesAhead&) = delete;
  SmallFilesAhead& operator=(const SmallFilesAhead&) = delete;

  // These files of the directory are likely to be opened next, in this order. Takes the first few hundred that are
  // small.
  void Want(InodeNo directory, const std::vector<DirEntry>& files);

  // Waits for a file that is on its way, until it is there or the context ends. One that has not left yet is left to
  // the caller.
  void Await(const OpContext& ctx, InodeNo file);

 private:
  // What is held for a moment after a fetch.
  struct Kept;
  enum class Stage { kWanted, kOnItsWay };

  void WantOne(InodeNo directory, const DirEntry& file);
  void Fetch(const std::shared_ptr<Kept>& kept);
  bool Start(InodeNo file);
  void End(InodeNo file);

  RemoteFs& remote_;
  InodeTable& inodes_;
  const Renames& renames_;
  ReadCache& reads_;
  const std::function<bool()> reachable_;
  const std::shared_ptr<MemoryBudget> budget_;  // goes with the last of what is kept

  Mutex mutex_;
  CondVar arrived_;
  std::unordered_map<InodeNo, Stage> files_ GUARDED_BY(mutex_);
  FetchPool pool_;  // last: its tasks use the rest
};

}  // namespace bt
