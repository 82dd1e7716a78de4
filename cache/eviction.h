// What must go when the cache is full: superseded versions first, then what was used longest ago. A small file goes as
// a whole; of a large one, as much as is needed, its extents used longest ago first.
//
// Threading: any thread; safe while other threads and processes read and fill the same files (FORMAT.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "transport/base/op_context.h"
#include "transport/base/unique_fd.h"

namespace bt {

struct CachedFile {
  std::filesystem::path file;
  std::uint64_t disk_bytes = 0;
  std::int64_t last_use = 0;  // nanoseconds since 1970: the file's time of modification, which reading renews
};

// Every block file below the directory; what it cannot look at is left out. Removes what crashed processes left behind.
std::vector<CachedFile> ScanBlockFiles(const std::filesystem::path& directory, const std::stop_token& stop);

// In the order in which they go.
void SortForEviction(std::vector<CachedFile>& files);

// Frees about `goal` bytes, or what there is. Returns how many it freed.
std::uint64_t EvictBlocks(std::vector<CachedFile> files, std::uint64_t goal, const std::stop_token& stop);

// Removes the file and frees its space at once, even while others have it open. 0, or the errno.
int RemoveBlockFile(const std::filesystem::path& file);

// One process evicts at a time: two would both free what is needed once.
class EvictionLock {
 public:
  // Does not wait. Where the disk cannot lock (read-only, for example), it is held: nothing worse than freeing too much
  // can happen.
  explicit EvictionLock(const std::filesystem::path& directory);
  bool held() const { return held_; }

 private:
  UniqueFd fd_;
  bool held_ = true;
};

// Sleeps, unless stopped.
void Rest(const std::stop_token& stop, Duration duration);

}  // namespace bt
