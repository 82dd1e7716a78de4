#include "fs/directory_cache.h"

#include <algorithm>

namespace bt {

namespace {

// A directory that was looked at is kept fresh for a while, the longer the longer it has been in use.
constexpr std::chrono::seconds kShortestUse{5};
constexpr std::chrono::seconds kLongestUse{20};
constexpr std::chrono::milliseconds kUnusedAhead{2500};  // and one that was listed ahead, until somebody looks at it
constexpr std::size_t kFewestFresh = 1000;               // entries kept fresh however slow the link is

}  // namespace

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

void DirectoryCache::Use(Record& record, TimePoint now) {
  recency_.splice(recency_.begin(), recency_, record.place);
  if (now > record.keep_until || record.ahead_unused) {
    record.used_since = now;
  }
  record.keep_until = now + std::clamp<Duration>(now - record.used_since, kShortestUse, kLongestUse);
  if (record.ahead_unused) {
    record.ahead_unused = false;
    ++counts_.ahead_used;
    --counts_.ahead_unused;
  }
  if (record.kept_weight > 0) {
    kept_.splice(kept_.begin(), kept_, record.kept_place);
  } else if (Fresh(record, now)) {
    KeepFresh(record);
  }
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

std::vector<DirectoryCache::Due> DirectoryCache::TakeDue(TimePoint now, std::size_t count) {
  std::vector<Due> taken;
  MutexLock lock(mutex_);
  while (taken.size() < count && !due_.empty() && due_.begin()->first <= now) {
    Record& record = *RecordOf(due_.begin()->second);
    if (now > record.keep_until) {
      LetAge(record);
      continue;
    }
    SetDue(record, std::nullopt);
    if (record.on_the_way == 0) {
      taken.push_back(Due{record.number(), record.listing == nullptr ? 0 : record.listing->entries().size()});
    }
  }
  return taken;
}

TimePoint DirectoryCache::NextDue() const {
  MutexLock lock(mutex_);
  return due_.empty() ? TimePoint::max() : due_.begin()->first;
}

void DirectoryCache::TookToRefresh(Duration duration) {
  MutexLock lock(mutex_);
  refresh_time_ = refresh_time_ == Duration{} ? duration : (refresh_time_ * 3 + duration) / 4;
  if (duration > options_.lifetime / 2) {
    fresh_limit_ = std::max(fresh_limit_ * 3 / 4, std::min(kFewestFresh, options_.max_fresh_entries));
    LetAgeBeyondLimit();
  } else {
    fresh_limit_ = std::min(fresh_limit_ + fresh_limit_ / 32 + 1, options_.max_fresh_entries);
  }
}

DirectoryCache::Counts DirectoryCache::counts() const {
  MutexLock lock(mutex_);
  Counts counts = counts_;
  counts.directories = records_.size();
  counts.entries = entries_;
  return counts;
}

void DirectoryCache::SetListing(Record& record, std::shared_ptr<const Listing> listing) {
  entries_ -= record.listing == nullptr ? 0 : record.listing->entries().size();
  record.listing = std::move(listing);
  entries_ += record.listing == nullptr ? 0 : record.listing->entries().size();
  if (record.kept_weight > 0) {
    counts_.fresh_entries += record.weight() - record.kept_weight;
    record.kept_weight = record.weight();
    // Early enough for the new one to be here before the old one is too old.
    const Duration early = std::clamp<Duration>(options_.lifetime - refresh_time_ * 5 / 2, options_.lifetime / 4,
                                                options_.lifetime * 13 / 20);
    SetDue(record, record.listing->asked_at() + early);
  }
}

void DirectoryCache::KeepFresh(Record& record) {
  if (record.weight() > fresh_limit_ || options_.lifetime <= Duration{}) {
    return;
  }
  record.kept_weight = record.weight();
  counts_.fresh_entries += record.kept_weight;
  // What was listed ahead goes first, and of that what is farthest ahead.
  record.kept_place = kept_.insert(record.ahead_unused ? kept_.end() : kept_.begin(), record.number());
  SetListing(record, record.listing);
  LetAgeBeyondLimit();
}

void DirectoryCache::LetAgeBeyondLimit() {
  while (counts_.fresh_entries > fresh_limit_ && !kept_.empty()) {
    LetAge(*RecordOf(kept_.back()));
  }
}

void DirectoryCache::LetAge(Record& record) {
  SetDue(record, std::nullopt);
  if (record.kept_weight > 0) {
    counts_.fresh_entries -= record.kept_weight;
    record.kept_weight = 0;
    kept_.erase(record.kept_place);
  }
  if (record.on_the_way == 0) {
    NoteWasted(record);
  }
}

void DirectoryCache::NoteWasted(Record& record) {
  if (record.ahead_unused) {
    record.ahead_unused = false;
    --counts_.ahead_unused;
    ++counts_.ahead_wasted;
  }
}

void DirectoryCache::SetDue(Record& record, std::optional<TimePoint> due) {
  if (record.due) {
    due_.erase({*record.due, record.number()});
  }
  record.due = due;
  if (due) {
    due_.emplace(*due, record.number());
  }
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
