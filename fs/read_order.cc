#include "fs/read_order.h"

#include <algorithm>
#include <utility>

namespace bt {

namespace {

constexpr std::size_t kDirectories = 16;
constexpr std::chrono::seconds kMemory{5};
constexpr std::uint32_t kSkipped = 4;  // files that a program may leave out and still be in order
constexpr std::size_t kFirstAhead = 8;
constexpr std::uint32_t kNoFile = UINT32_MAX;

}  // namespace

std::vector<DirEntry> ReadOrder::Used(InodeNo number, const std::shared_ptr<const Listing>& listing,
                                      std::string_view name, TimePoint now) {
  const DirEntry* used = listing->Find(name);
  if (used == nullptr || (kinds_ == Kinds::kRegularFiles && !used->attributes.is_regular())) {
    return {};
  }
  const auto index = static_cast<std::size_t>(used - listing->entries().data());
  MutexLock lock(mutex_);
  Directory& directory = DirectoryOf(number);
  if (directory.listing != listing) {
    Adopt(directory, listing);
  }
  const bool recent = !directory.last_name.empty() && now - directory.at < kMemory;
  for (Order* order : {&directory.by_name, &directory.as_listed}) {
    const std::uint32_t place = order->place[index];
    // What was told may have been used without anybody asking here.
    const bool next = recent && order->last != kNoFile && place > order->last &&
                      place < std::max(order->last + 1, order->told) + kSkipped;
    order->run = next ? order->run + 1 : 0;
    order->told = next ? std::max(order->told, place + 1) : 0;
    order->last = place;
  }
  directory.last_name = name;
  directory.at = now;

  Order& order = directory.as_listed.run > directory.by_name.run ? directory.as_listed : directory.by_name;
  if (order.run == 0) {
    return {};
  }
  const std::size_t ahead = std::min(kFirstAhead << std::min(order.run - 1, 8U), most_ahead_);
  const std::size_t end = std::min(order.last + 1 + ahead, order.files.size());
  std::vector<DirEntry> next;
  for (; order.told < end; ++order.told) {
    next.push_back(listing->entries()[order.files[order.told]]);
  }
  if (!next.empty()) {
    (&order == &directory.by_name ? directory.told_by_name : directory.told_as_listed) = next.back().name.text();
  }
  return next;
}

ReadOrder::Directory& ReadOrder::DirectoryOf(InodeNo number) {
  const auto found = std::ranges::find(directories_, number, &Directory::number);
  if (found != directories_.end()) {
    directories_.splice(directories_.begin(), directories_, found);
  } else {
    if (directories_.size() >= kDirectories) {
      directories_.pop_back();
    }
    directories_.emplace_front().number = number;
  }
  return directories_.front();
}

// A new listing of the same directory: what is known of the program's way is found again by name.
void ReadOrder::Adopt(Directory& directory, std::shared_ptr<const Listing> listing) const {
  const std::vector<DirEntry>& entries = listing->entries();
  Order as_listed;
  for (std::uint32_t i = 0; i < entries.size(); ++i) {
    if (kinds_ == Kinds::kAll || entries[i].attributes.is_regular()) {
      as_listed.files.push_back(i);
    }
  }
  Order by_name;
  by_name.files = as_listed.files;
  std::ranges::sort(by_name.files, {},
                    [&entries](std::uint32_t i) -> const std::string& { return entries[i].name.text(); });
  for (Order* order : {&by_name, &as_listed}) {
    order->place.assign(entries.size(), kNoFile);
    for (std::uint32_t i = 0; i < order->files.size(); ++i) {
      order->place[order->files[i]] = i;
    }
    const std::uint32_t after_last = PlaceAfter(*order, *listing, directory.last_name);
    order->last = after_last == 0 ? kNoFile : after_last - 1;
  }
  by_name.run = directory.by_name.run;
  as_listed.run = directory.as_listed.run;
  by_name.told = PlaceAfter(by_name, *listing, directory.told_by_name);
  as_listed.told = PlaceAfter(as_listed, *listing, directory.told_as_listed);
  directory.by_name = std::move(by_name);
  directory.as_listed = std::move(as_listed);
  directory.listing = std::move(listing);
}

// 0 when it is not there.
std::uint32_t ReadOrder::PlaceAfter(const Order& order, const Listing& listing, const std::string& name) {
  const DirEntry* entry = name.empty() ? nullptr : listing.Find(name);
  if (entry == nullptr) {
    return 0;
  }
  const std::uint32_t place = order.place[static_cast<std::size_t>(entry - listing.entries().data())];
  return place == kNoFile ? 0 : place + 1;
}

}  // namespace bt
