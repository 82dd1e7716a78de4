#include "fs/tree_order.h"

#include <algorithm>
#include <utility>

namespace bt {

namespace {

constexpr std::chrono::seconds kMemory{5};
constexpr std::size_t kFirstAhead = 4;
constexpr std::size_t kMostAhead = 16;
constexpr std::size_t kMostFilesAhead = 192;  // in them: who fetches takes no more than a few hundred, and each once
constexpr std::size_t kRemembered = 10'000;
constexpr int kLevels = 4;  // that a program climbs between two directories with files

bool Enough(const std::vector<TreeOrder::Next>& next, std::size_t count) {
  std::size_t files = 0;
  for (const TreeOrder::Next& one : next) {
    files += one.listing->entries().size();
  }
  return next.size() >= count || files >= kMostFilesAhead;
}

}  // namespace

std::vector<TreeOrder::Next> TreeOrder::Used(InodeNo directory, TimePoint now) {
  Way before;
  bool told = false;
  {
    MutexLock lock(mutex_);
    before = way_;
    way_.at = now;
    if (before.last == directory) {
      return {};
    }
    way_.last = directory;
    told = told_.contains(directory);
  }
  const bool goes_on = now < before.at + kMemory && (told || Near(before.last, directory));
  const unsigned run = goes_on ? before.run + 1 : 0;
  const bool by_name = run == 0 || ByName(before.last, directory, before.by_name);
  std::vector<Next> next;
  if (run > 0) {
    const std::size_t count = 1 + std::min(kFirstAhead << std::min(run - 1, 8U), kMostAhead);
    if (auto listing = tree_.listing(directory)) {
      next.push_back({directory, std::move(listing)});
    }
    AddChildren(directory, nullptr, by_name, count, next);
    std::optional<InodeTable::Place> place = tree_.place(directory);
    for (int level = 0; level < kLevels && place && !Enough(next, count); ++level) {
      AddChildren(place->parent, &place->name, by_name, count, next);
      place = tree_.place(place->parent);
    }
  }
  MutexLock lock(mutex_);
  way_.run = run;
  way_.by_name = by_name;
  if (run == 0 || told_.size() > kRemembered) {
    told_.clear();
  }
  std::erase_if(next, [this](const Next& one) REQUIRES(mutex_) { return !told_.insert(one.directory).second; });
  return next;
}

bool TreeOrder::Near(InodeNo from, InodeNo to) const {
  const std::optional<InodeTable::Place> place = tree_.place(to);
  if (!place) {
    return false;
  }
  for (int level = 0; level < kLevels; ++level) {
    if (from == place->parent) {
      return true;
    }
    const std::optional<InodeTable::Place> above = tree_.place(from);
    if (!above) {
      return false;
    }
    from = above->parent;
  }
  return false;
}

bool TreeOrder::ByName(InodeNo from, InodeNo to, bool so_far) const {
  const std::optional<InodeTable::Place> a = tree_.place(from);
  const std::optional<InodeTable::Place> b = tree_.place(to);
  const auto listing = a && b && a->parent == b->parent ? tree_.listing(a->parent) : nullptr;
  const DirEntry* first = listing != nullptr ? listing->Find(a->name.text()) : nullptr;
  const DirEntry* second = listing != nullptr ? listing->Find(b->name.text()) : nullptr;
  if (first == nullptr || second == nullptr) {
    return so_far;
  }
  const bool as_listed = first < second;
  const bool by_name = a->name.text() < b->name.text();
  return as_listed == by_name ? so_far : by_name;
}

void TreeOrder::AddChildren(InodeNo parent, const Name* after, bool by_name, std::size_t count,
                            std::vector<Next>& next) const {
  const std::shared_ptr<const Listing> listing = tree_.listing(parent);
  if (listing == nullptr || Enough(next, count)) {
    return;
  }
  const DirEntry* last = after != nullptr ? listing->Find(after->text()) : nullptr;
  std::vector<const DirEntry*> children;
  for (const DirEntry& entry : listing->entries()) {
    const bool behind = after == nullptr || (by_name ? after->text() < entry.name.text() : last < &entry);
    if (entry.attributes.is_directory() && behind) {
      children.push_back(&entry);
    }
  }
  if (by_name) {
    std::ranges::sort(children, {}, [](const DirEntry* entry) -> const std::string& { return entry->name.text(); });
  }
  for (const DirEntry* child : children) {
    const std::optional<InodeNo> number = tree_.subdirectory(parent, child->name);
    auto known = number ? tree_.listing(*number) : nullptr;
    if (known == nullptr) {
      continue;
    }
    next.push_back({*number, std::move(known)});
    if (Enough(next, count)) {
      return;
    }
    AddChildren(*number, nullptr, by_name, count, next);
  }
}

}  // namespace bt
