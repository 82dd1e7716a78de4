// What DirectoryCache keeps of one directory; for its own two source files.
//
// Threading: under the cache's lock.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "fs/directory_cache.h"

namespace bt {

struct DirectoryCache::Record {
  explicit Record(InodePin directory) : pin(std::move(directory)) {}

  InodeNo number() const { return pin.inode()->number(); }
  std::size_t weight() const { return (listing == nullptr ? 0 : listing->entries().size()) + kDirectoryWeight; }

  const InodePin pin;
  std::shared_ptr<const Listing> listing;
  std::map<std::string, Learned, std::less<>> learned;  // newer than the listing
  TimePoint believed_from;                              // listings that were asked for earlier are not believed
  std::uint64_t version = 0;
  unsigned on_the_way = 0;
  bool ahead_unused = false;

  Recency::iterator place;
  TimePoint used_since = TimePoint::min();
  TimePoint keep_until = TimePoint::min();
  std::size_t kept_weight = 0;  // 0: not kept fresh
  Recency::iterator kept_place;
  std::optional<TimePoint> due;
};

}  // namespace bt
