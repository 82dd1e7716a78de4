// Tells when a program uses the files of a directory one after the other, by name (cat *, rsync, git) or in the order
// of the listing (grep -r, tar, cp -r), and which are next.
//
// Threading: any thread. Times are the caller's.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fs/filesystem.h"
#include "fs/listing.h"
#include "transport/base/sync.h"

namespace bt {

class ReadOrder {
 public:
  enum class Kinds { kRegularFiles, kAll };
  ReadOrder(Kinds kinds, std::size_t most_ahead) : kinds_(kinds), most_ahead_(most_ahead) {}

  // `name` of the directory `number` was used; `listing` is its latest. Those that are next, none while there
  // is no order: 8 at first, up to `most_ahead` while it goes on, each only once. So they are to be fetched at once.
  std::vector<DirEntry> Used(InodeNo number, const std::shared_ptr<const Listing>& listing, std::string_view name,
                             TimePoint now);

 private:
  // A program's way through the files of a directory in one of the two orders.
  struct Order {
    std::vector<std::uint32_t> files;  // indices of the entries that count in the listing, in this order
    std::vector<std::uint32_t> place;  // in `files`, of each entry of the listing
    std::uint32_t last = 0;            // place of the one used last
    std::uint32_t told = 0;            // places before this one were told
    unsigned run = 0;                  // uses in order
  };
  struct Directory {
    InodeNo number{};
    std::shared_ptr<const Listing> listing;
    Order by_name;
    Order as_listed;
    std::string last_name;
    std::string told_by_name;  // the last that was told, in each order; empty: none
    std::string told_as_listed;
    TimePoint at = TimePoint::min();
  };

  Directory& DirectoryOf(InodeNo number) REQUIRES(mutex_);
  void Adopt(Directory& directory, std::shared_ptr<const Listing> listing) const;
  static std::uint32_t PlaceAfter(const Order& order, const Listing& listing, const std::string& name);

  const Kinds kinds_;
  const std::size_t most_ahead_;
  Mutex mutex_;
  std::list<Directory> directories_ GUARDED_BY(mutex_);  // the most recently used first
};

}  // namespace bt
