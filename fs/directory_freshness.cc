// The half of DirectoryCache that decides which directories are kept fresh, and when each is listed again.
#include <algorithm>
#include <utility>

#include "fs/directory_cache.h"
#include "fs/directory_record.h"

namespace bt {

namespace {

// A directory that was looked at is kept fresh for a while, the longer the longer it has been in use.
constexpr std::chrono::seconds kShortestUse{5};
constexpr std::chrono::seconds kLongestUse{20};
constexpr std::size_t kFewestFresh = 1000;  // entries kept fresh however slow the link is

}  // namespace

void DirectoryCache::Use(Record& record, TimePoint now) {
  recency_.splice(recency_.begin(), recency_, record.place);
  if (now > record.keep_until || record.ahead_unused || record.used_since == TimePoint::min()) {
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

}  // namespace bt
