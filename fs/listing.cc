#include "fs/listing.h"

#include <xxhash.h>

#include <bit>
#include <utility>

namespace bt {

namespace {

std::size_t HashOf(std::string_view name) { return XXH3_64bits(name.data(), name.size()); }

}  // namespace

Listing::Listing(TimePoint asked_at, std::vector<DirEntry> entries)
    : asked_at_(asked_at),
      entries_(std::move(entries)),
      slots_(std::bit_ceil(entries_.size() + entries_.size() / 2 + 1), 0) {  // at most two thirds full
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    std::size_t slot = HashOf(entries_[i].name.text()) & mask;
    while (slots_[slot] != 0) {
      slot = (slot + 1) & mask;
    }
    slots_[slot] = static_cast<std::uint32_t>(i) + 1;
  }
}

const DirEntry* Listing::Find(std::string_view name) const {
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t slot = HashOf(name) & mask; slots_[slot] != 0; slot = (slot + 1) & mask) {
    const DirEntry& entry = entries_[slots_[slot] - 1];
    if (entry.name.text() == name) {
      return &entry;
    }
  }
  return nullptr;
}

}  // namespace bt
