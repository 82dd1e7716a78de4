#include "fs/directory_cache.h"

#include <algorithm>

#include "fs/directory_record.h"

namespace bt {

namespace {

// A directory that was listed ahead is kept fresh for as long, until somebody looks at it.
constexpr std::chrono::milliseconds kUnusedAhead{2500};

}  // namespace

DirectoryCache::DirectoryCache(const DirectoryCacheOptions& options)
    : options_(options), fresh_limit_(options.max_fresh_entries) {}

DirectoryCache::~DirectoryCache() = default;

DirectoryCache::Record* DirectoryCache::RecordOf(InodeNo directory) const {
  const auto found = records_.find(directory);
  return found == records_.end() ? nullptr : found->second.get();
}

bool DirectoryCache::Fresh(const Record& record, TimePoint now) const {
  return record.listing != nullptr && now - record.listing->asked_at() < options_.lifetime;
}

DirectoryCache::Answer DirectoryCache::FindIn(const Record& record, std::string_view name, TimePoint now,
                                              Age age) const {
  Answer answer;
  answer.version = record.version;
  if (const auto found = record.learned.find(name); found != record.learned.end()) {
    const Learned& learned = found->second;
    answer.until = learned.at + options_.lifetime;
    if (age == Age::kFresh && answer.until <= now) {
      return answer;
    }
    answer.kind = learned.type ? Answer::Kind::kThere : Answer::Kind::kAbsent;
    answer.type = learned.type.value_or(0);
    answer.attributes = learned.attributes;
    answer.asked_at = learned.at;
    return answer;
  }
  if (record.listing == nullptr || (age == Age::kFresh && !Fresh(record, now))) {
    return answer;
  }
  answer.until = record.listing->asked_at() + options_.lifetime;
  if (const DirEntry* entry = record.listing->Find(name)) {
    answer.kind = Answer::Kind::kThere;
    answer.type = entry->attributes.mode & S_IFMT;
    answer.attributes = entry->attributes;
    answer.asked_at = record.listing->asked_at();
  } else {
    answer.kind = Answer::Kind::kAbsent;
  }
  return answer;
}

DirectoryCache::Answer DirectoryCache::Peek(InodeNo directory, std::string_view name, TimePoint now, Age age) const {
  MutexLock lock(mutex_);
  const Record* record = RecordOf(directory);
  return record == nullptr ? Answer{} : FindIn(*record, name, now, age);
}

DirectoryCache::Answer DirectoryCache::Find(InodeNo directory, std::string_view name, TimePoint now, Age age) {
  MutexLock lock(mutex_);
  Record* record = RecordOf(directory);
  if (record == nullptr) {
    return {};
  }
  Use(*record, now);
  return FindIn(*record, name, now, age);
}

std::uint64_t DirectoryCache::VersionOf(InodeNo directory) const {
  MutexLock lock(mutex_);
  const Record* record = RecordOf(directory);
  return record == nullptr ? 0 : record->version;
}

std::optional<DirectoryCache::Snapshot> DirectoryCache::Take(InodeNo directory, TimePoint now, Age age) {
  std::shared_ptr<const Listing> listing;
  std::map<std::string, Learned, std::less<>> learned;
  {
    MutexLock lock(mutex_);
    Record* record = RecordOf(directory);
    if (record == nullptr) {
      return std::nullopt;
    }
    Use(*record, now);
    if (record->listing == nullptr || (age == Age::kFresh && !Fresh(*record, now))) {
      return std::nullopt;
    }
    listing = record->listing;
    learned = record->learned;
  }
  if (learned.empty()) {
    return Snapshot{listing, now};
  }
  // Attributes that are known go with the age of the listing, which is older; so they are not used longer than they
  // may.
  const auto attributes_of = [](const Learned& what) {
    return what.attributes.value_or(Attributes{.mode = what.type.value_or(0)});
  };
  std::vector<DirEntry> entries;
  entries.reserve(listing->entries().size() + learned.size());
  for (const DirEntry& entry : listing->entries()) {
    const auto found = learned.find(entry.name.text());
    if (found == learned.end()) {
      entries.push_back(entry);
      continue;
    }
    if (found->second.type) {
      entries.push_back(DirEntry{entry.name, attributes_of(found->second)});
    }
    learned.erase(found);
  }
  for (const auto& [name, what] : learned) {
    Result<Name> parsed = Name::Parse(name);
    if (what.type && parsed.ok()) {
      entries.push_back(DirEntry{std::move(parsed).value(), attributes_of(what)});
    }
  }
  return Snapshot{std::make_shared<const Listing>(listing->asked_at(), std::move(entries)), now};
}

std::shared_ptr<const Listing> DirectoryCache::Known(InodeNo directory, TimePoint now, Age age) const {
  MutexLock lock(mutex_);
  const Record* record = RecordOf(directory);
  return record != nullptr && (age == Age::kAny || Fresh(*record, now)) ? record->listing : nullptr;
}

void DirectoryCache::Changed(InodeNo directory, const Name& name, std::optional<mode_t> type, TimePoint at) {
  MutexLock lock(mutex_);
  Record* record = RecordOf(directory);
  if (record == nullptr) {
    return;
  }
  ++record->version;
  if (record->learned.insert_or_assign(name.text(), Learned{type, at, std::nullopt}).second) {
    ++entries_;
  }
}

void DirectoryCache::Seen(InodeNo directory, const Name& name, const std::optional<Attributes>& attributes,
                          TimePoint at) {
  MutexLock lock(mutex_);
  Record* record = RecordOf(directory);
  if (record == nullptr || (record->listing != nullptr && record->listing->asked_at() > at)) {
    return;
  }
  const std::optional<mode_t> type = attributes ? std::optional<mode_t>(attributes->mode & S_IFMT) : std::nullopt;
  const auto [place, added] = record->learned.try_emplace(name.text(), Learned{type, at, attributes});
  if (added) {
    ++entries_;
    ++record->version;
  } else if (place->second.at < at) {
    record->version += place->second.type == type ? 0 : 1;
    place->second = Learned{type, at, attributes};
  }
}

void DirectoryCache::Doubt(InodeNo directory, TimePoint now) {
  MutexLock lock(mutex_);
  Record* record = RecordOf(directory);
  if (record == nullptr) {
    return;
  }
  ++record->version;
  record->believed_from = now;
  LetAge(*record);
  entries_ -= record->learned.size();
  record->learned.clear();
  SetListing(*record, nullptr);
}

void DirectoryCache::Drop(InodeNo directory) {
  Dropped dropped;
  MutexLock lock(mutex_);
  Remove(directory, dropped);
}

void DirectoryCache::Asking(InodePin directory, TimePoint now, Purpose purpose) {
  MutexLock lock(mutex_);
  const InodeNo number = directory.inode()->number();
  Record* record = RecordOf(number);
  if (record == nullptr) {
    auto made = std::make_unique<Record>(std::move(directory));
    record = made.get();
    record->believed_from = now;
    record->place = recency_.insert(recency_.begin(), number);
    records_.emplace(number, std::move(made));
    entries_ += kDirectoryWeight;
  }
  ++record->on_the_way;
  if (purpose == Purpose::kAhead && !record->ahead_unused && !Fresh(*record, now)) {
    record->ahead_unused = true;
    ++counts_.ahead_unused;
  }
}

void DirectoryCache::Arrived(InodeNo directory, const std::shared_ptr<const Listing>& listing, TimePoint now,
                             Purpose purpose) {
  Dropped dropped;
  MutexLock lock(mutex_);
  Record* record = RecordOf(directory);
  if (record == nullptr) {
    return;
  }
  record->on_the_way -= record->on_the_way > 0 ? 1 : 0;
  arrived_.NotifyAll();
  const bool newer = record->listing == nullptr || record->listing->asked_at() < listing->asked_at();
  if (listing->asked_at() >= record->believed_from && newer) {
    entries_ -= std::erase_if(record->learned, [&](const auto& one) { return one.second.at < listing->asked_at(); });
    SetListing(*record, listing);
  }
  if (purpose == Purpose::kDemand) {
    Use(*record, now);
  } else if (purpose == Purpose::kAhead) {
    record->keep_until = std::max(record->keep_until, now + kUnusedAhead);
  }
  if (record->kept_weight > 0) {
    if (!record->due) {  // what came was not news
      LetAge(*record);
    }
    LetAgeBeyondLimit();
  } else if (purpose != Purpose::kRefresh && Fresh(*record, now)) {
    KeepFresh(*record);
  }
  if (record->kept_weight == 0) {
    NoteWasted(*record);
  }
  MakeRoom(dropped);
}

void DirectoryCache::Failed(InodeNo directory) {
  MutexLock lock(mutex_);
  Record* record = RecordOf(directory);
  if (record == nullptr) {
    return;
  }
  record->on_the_way -= record->on_the_way > 0 ? 1 : 0;
  arrived_.NotifyAll();
  LetAge(*record);
  NoteWasted(*record);
}

void DirectoryCache::AwaitArrival(const OpContext& ctx, InodeNo directory) {
  MutexLock lock(mutex_);
  for (;;) {
    const Record* record = RecordOf(directory);
    if (record == nullptr || record->on_the_way == 0 || Fresh(*record, Clock::now()) || !ctx.Check().ok()) {
      return;
    }
    arrived_.Wait(mutex_, ctx);
  }
}

bool DirectoryCache::FreshOrOnItsWay(InodeNo directory, TimePoint now) const {
  MutexLock lock(mutex_);
  const Record* record = RecordOf(directory);
  return record != nullptr && (record->on_the_way > 0 || Fresh(*record, now));
}

DirectoryCache::Counts DirectoryCache::counts() const {
  MutexLock lock(mutex_);
  Counts counts = counts_;
  counts.directories = records_.size();
  counts.entries = entries_;
  return counts;
}

void DirectoryCache::Remove(InodeNo directory, Dropped& dropped) {
  const auto found = records_.find(directory);
  if (found == records_.end()) {
    return;
  }
  Record& record = *found->second;
  record.on_the_way = 0;
  LetAge(record);
  entries_ -= record.weight() + record.learned.size();
  recency_.erase(record.place);
  dropped.push_back(std::move(found->second));
  records_.erase(found);
  arrived_.NotifyAll();
}

void DirectoryCache::MakeRoom(Dropped& dropped) {
  for (auto oldest = recency_.end(); entries_ > options_.max_entries && oldest != recency_.begin();) {
    --oldest;
    const Record* record = RecordOf(*oldest);
    if (record->on_the_way > 0 || oldest == recency_.begin()) {
      continue;
    }
    const InodeNo number = *oldest++;
    Remove(number, dropped);
  }
}

}  // namespace bt
