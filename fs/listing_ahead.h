// Lists directories before anybody waits for them, on a few threads: those that a walk will come to, breadth first;
// those in which names are looked up one after the other; and those in use whose listing would soon be too old.
//
// Bounds: kThreads x 64 directories on the way at a time; ahead of a walk as many as WalkWatch allows; kept fresh as
// many entries as DirectoryCache allows. Nothing is asked for while the link is down, or when nobody uses the mount.
//
// Threading: any thread. Nothing here waits for the network but the threads, which end with the object.
#pragma once

#include <atomic>
#include <cstddef>
#include <deque>
#include <functional>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "fs/directory_cache.h"
#include "fs/inode_table.h"
#include "fs/renames.h"
#include "fs/walk_watch.h"
#include "transport/base/sync.h"
#include "transport/remote_fs.h"

namespace bt {

class ListingAhead {
 public:
  struct Options {
    std::size_t threads = 4;
    std::size_t max_entries = 5000;             // of a directory that nobody asked to list
    std::function<bool()> reachable;            // empty: always
    std::function<bool(const Name&)> left_out;  // names that are not shown; empty: none
  };

  // All must outlive the object.
  ListingAhead(RemoteFs& remote, InodeTable& inodes, const Renames& renames, DirectoryCache& cache, Options options);
  ~ListingAhead();
  ListingAhead(const ListingAhead&) = delete;
  ListingAhead& operator=(const ListingAhead&) = delete;

  // A program looks into the directory.
  void Visited(InodeNo directory, WalkWatch::Look look);
  // A name was looked up in it that memory could not answer for.
  void Missed(InodeNo directory);
  // A program has listed it: there is something more to keep fresh, and to look ahead from.
  void Listed(InodeNo directory);

 private:
  struct Wanted {
    InodePin pin;
    DirectoryCache::Purpose purpose;
    std::size_t expected_entries = 0;
  };
  struct Misses {
    unsigned count = 0;
    TimePoint since;
  };
  struct Frontier {
    InodeNo directory{};
    std::size_t next = 0;  // entries before it were dealt with
  };

  void Work(const std::stop_token& stop);
  std::vector<Wanted> AwaitWork(const std::stop_token& stop);
  std::vector<Wanted> NextBatch(TimePoint now) REQUIRES(mutex_);
  void Expand(TimePoint now) REQUIRES(mutex_);
  // False when the window is full.
  bool ExpandOne(Frontier& at, const Listing& listing, std::size_t& room, TimePoint now) REQUIRES(mutex_);
  void Want(InodeNo directory, TimePoint now) REQUIRES(mutex_);
  bool TooBig(InodeNo directory, TimePoint now) const REQUIRES(mutex_);
  void ListAll(const OpContext& ctx, std::vector<Wanted> batch);
  // The answer for one of them, which was asked for at `asked_at`. `elsewhere`: its path may be another's by now.
  void Listed(const Wanted& wanted, TimePoint asked_at, bool elsewhere, Result<DirectoryListing> listing);

  RemoteFs& remote_;
  InodeTable& inodes_;
  const Renames& renames_;
  DirectoryCache& cache_;
  const Options options_;

  std::atomic<InodeNo> last_looked_up_{InodeNo{0}};

  Mutex mutex_;
  CondVar work_;
  bool refresh_next_ GUARDED_BY(mutex_) = false;  // refreshing and looking ahead take turns
  WalkWatch walk_ GUARDED_BY(mutex_);
  std::deque<Wanted> wanted_ GUARDED_BY(mutex_);
  std::deque<Frontier> frontier_ GUARDED_BY(mutex_);         // listed, their subdirectories to be listed
  std::unordered_set<InodeNo> expanded_ GUARDED_BY(mutex_);  // were in the frontier during this walk
  std::unordered_set<InodeNo> walked_ GUARDED_BY(mutex_);    // were looked into during this walk
  std::unordered_map<InodeNo, Misses> misses_ GUARDED_BY(mutex_);
  std::unordered_map<InodeNo, TimePoint> too_big_ GUARDED_BY(mutex_);  // to be listed unasked; since when
  std::vector<std::jthread> threads_;                                  // last: they use everything above
};

}  // namespace bt
