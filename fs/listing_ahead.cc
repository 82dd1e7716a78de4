#include "fs/listing_ahead.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "transport/base/thread_name.h"

namespace bt {

namespace {

using Purpose = DirectoryCache::Purpose;

constexpr std::size_t kBatch = 64;
constexpr std::size_t kRefreshedEntries = 4000;  // of one batch; a longer directory makes one alone
constexpr std::chrono::seconds kPatience{10};
constexpr std::chrono::milliseconds kDownPause{200};
constexpr std::chrono::seconds kMissMemory{3};
constexpr unsigned kMissesToList = 2;
constexpr std::chrono::seconds kTooBigMemory{60};
constexpr std::size_t kMissesRemembered = 1000;
constexpr std::size_t kExpandedAtATime = 20'000;  // entries looked at under the lock

}  // namespace

ListingAhead::ListingAhead(RemoteFs& remote, InodeTable& inodes, const Renames& renames, DirectoryCache& cache,
                           Options options)
    : remote_(remote), inodes_(inodes), renames_(renames), cache_(cache), options_(std::move(options)) {
  for (std::size_t i = 0; i < options_.threads; ++i) {
    threads_.emplace_back([this](const std::stop_token& stop) { Work(stop); });
  }
}

ListingAhead::~ListingAhead() {
  for (std::jthread& thread : threads_) {
    thread.request_stop();
  }
}

void ListingAhead::Visited(InodeNo directory, WalkWatch::Look look) {
  // Most lookups are in the same directory as the one before.
  if (look == WalkWatch::Look::kLookedUp && last_looked_up_.exchange(directory) == directory) {
    return;
  }
  const std::optional<InodeNo> parent = inodes_.ParentOf(directory);
  const TimePoint now = Clock::now();
  MutexLock lock(mutex_);
  if (!walk_.Visited(directory, parent, look, now)) {
    return;
  }
  walked_.insert(directory);
  if (!cache_.FreshOrOnItsWay(directory, now)) {
    Want(directory, now);
  }
  for (const InodeNo at : {*parent, directory}) {
    if (expanded_.insert(at).second) {
      frontier_.push_front(Frontier{at});
    }
  }
  work_.NotifyOne();
}

void ListingAhead::Missed(InodeNo directory) {
  const TimePoint now = Clock::now();
  if (cache_.FreshOrOnItsWay(directory, now)) {
    return;
  }
  MutexLock lock(mutex_);
  if (misses_.size() >= kMissesRemembered) {
    misses_.clear();
  }
  Misses& misses = misses_[directory];
  if (misses.count == 0 || now - misses.since > kMissMemory) {
    misses = Misses{0, now};
  }
  if (++misses.count >= kMissesToList) {
    misses_.erase(directory);
    Want(directory, now);
    work_.NotifyOne();
  }
}

void ListingAhead::Listed(InodeNo directory) {
  MutexLock lock(mutex_);
  if (walk_.alive(Clock::now()) && expanded_.insert(directory).second) {
    frontier_.push_front(Frontier{directory});
  }
  work_.NotifyOne();
}

bool ListingAhead::TooBig(InodeNo directory, TimePoint now) const {
  const auto found = too_big_.find(directory);
  return found != too_big_.end() && now - found->second < kTooBigMemory;
}

void ListingAhead::Want(InodeNo directory, TimePoint now) {
  Result<InodePin> pin = inodes_.Pin(directory);
  if (pin.ok() && !TooBig(directory, now)) {
    wanted_.push_front(Wanted{std::move(pin).value(), Purpose::kAhead});
  }
}

void ListingAhead::Expand(TimePoint now) {
  if (!walk_.alive(now)) {
    frontier_.clear();
    expanded_.clear();
    walked_.clear();
    return;
  }
  const DirectoryCache::Counts counts = cache_.counts();
  walk_.Outcome(counts.ahead_used, counts.ahead_wasted);
  const std::size_t taken = counts.ahead_unused + wanted_.size();
  std::size_t room = walk_.window() > taken ? walk_.window() - taken : 0;
  for (std::size_t looked_at = 0; room > 0 && looked_at < kExpandedAtATime && !frontier_.empty();) {
    Frontier at = frontier_.front();
    const std::shared_ptr<const Listing> listing = cache_.Known(at.directory, now, DirectoryCache::Age::kFresh);
    if (listing == nullptr) {
      frontier_.pop_front();
      // Not listed yet, perhaps: whoever lists it brings it back.
      expanded_.erase(at.directory);
      continue;
    }
    const std::size_t before = at.next;
    const bool done = ExpandOne(at, *listing, room, now);
    looked_at += at.next - before + 1;
    // Others may have been put in front of it meanwhile.
    const auto place = std::ranges::find(frontier_, at.directory, &Frontier::directory);
    if (done) {
      frontier_.erase(place);
    } else {
      *place = at;
    }
  }
}

bool ListingAhead::ExpandOne(Frontier& at, const Listing& listing, std::size_t& room, TimePoint now) {
  for (; at.next < listing.entries().size(); ++at.next) {
    const DirEntry& entry = listing.entries()[at.next];
    if (!entry.attributes.is_directory()) {
      continue;
    }
    if (room == 0) {
      return false;
    }
    Result<InodePin> pin = inodes_.PinAt(at.directory, entry.name, S_IFDIR);
    if (!pin.ok()) {
      continue;
    }
    const InodeNo number = pin->inode()->number();
    if (cache_.FreshOrOnItsWay(number, now)) {
      if (expanded_.insert(number).second) {
        frontier_.push_back(Frontier{number});
      }
    } else if (!walked_.contains(number) && !TooBig(number, now)) {
      wanted_.push_back(Wanted{std::move(pin).value(), Purpose::kAhead});
      --room;
    }
  }
  return true;
}

std::vector<ListingAhead::Wanted> ListingAhead::NextBatch(TimePoint now) {
  Expand(now);
  std::vector<Wanted> batch;
  refresh_next_ = !refresh_next_;
  if (refresh_next_ && cache_.NextDue() > now) {
    refresh_next_ = false;
  }
  while (!refresh_next_ && !wanted_.empty() && batch.size() < kBatch) {
    batch.push_back(std::move(wanted_.front()));
    wanted_.pop_front();
  }
  if (!batch.empty()) {
    return batch;
  }
  std::size_t entries = 0;
  while (batch.size() < kBatch && entries < kRefreshedEntries) {
    const std::vector<DirectoryCache::Due> due = cache_.TakeDue(now, 1);
    if (due.empty()) {
      break;
    }
    Result<InodePin> pin = inodes_.Pin(due.front().directory);
    if (pin.ok()) {
      entries += due.front().expected_entries;
      batch.push_back(Wanted{std::move(pin).value(), Purpose::kRefresh, due.front().expected_entries});
    }
  }
  return batch;
}

std::vector<ListingAhead::Wanted> ListingAhead::AwaitWork(const std::stop_token& stop) {
  MutexLock lock(mutex_);
  while (!stop.stop_requested()) {
    const bool up = !options_.reachable || options_.reachable();
    if (up) {
      std::vector<Wanted> batch = NextBatch(Clock::now());
      if (!batch.empty()) {
        work_.NotifyOne();  // there may be more
        return batch;
      }
    } else {
      wanted_.clear();
    }
    // All of them watch the clock: what is due changes while they wait, and only one of them is told.
    work_.Wait(mutex_, OpContext{up ? cache_.NextDue() : Clock::now() + kDownPause, stop});
  }
  return {};
}

void ListingAhead::Work(const std::stop_token& stop) {
  SetThreadName("bt-ahead");
  while (!stop.stop_requested()) {
    std::vector<Wanted> batch = AwaitWork(stop);
    if (!batch.empty()) {
      ListAll(OpContext::WithTimeout(kPatience, stop), std::move(batch));
    }
  }
}

void ListingAhead::ListAll(const OpContext& ctx, std::vector<Wanted> batch) {
  const Renames::Moment before = renames_.Now();
  const TimePoint asked_at = Clock::now();
  std::vector<DirectoryQuery> queries;
  std::vector<Wanted*> asked;  // what `queries` are of; null once answered
  bool refresh = false;
  for (Wanted& wanted : batch) {
    const InodeNo number = wanted.pin.inode()->number();
    Result<RemotePath> path = inodes_.PathOf(number);
    if (!path.ok()) {
      cache_.Drop(number);
      continue;
    }
    Result<InodePin> pin = inodes_.Pin(number);
    if (!pin.ok() || (wanted.purpose == Purpose::kAhead && cache_.FreshOrOnItsWay(number, asked_at))) {
      continue;
    }
    refresh = refresh || wanted.purpose == Purpose::kRefresh;
    cache_.Asking(std::move(pin).value(), asked_at, wanted.purpose);
    queries.push_back(DirectoryQuery{std::move(path).value(), wanted.expected_entries});
    asked.push_back(&wanted);
  }
  const auto listed = [&](std::size_t index, Result<DirectoryListing> listing) {
    if (asked[index] != nullptr) {
      Listed(*std::exchange(asked[index], nullptr), asked_at, renames_.Touched(queries[index].path, before),
             std::move(listing));
    }
  };
  const std::size_t max_entries = refresh ? SIZE_MAX : options_.max_entries;
  const Status status = remote_.ReadDirectories(ctx, queries, max_entries, listed);
  for (const Wanted* wanted : asked) {
    if (wanted != nullptr) {
      cache_.Failed(wanted->pin.inode()->number());
    }
  }
  if (refresh && status.ok()) {
    cache_.TookToRefresh(Clock::now() - asked_at);
  }
}

void ListingAhead::Listed(const Wanted& wanted, TimePoint asked_at, bool elsewhere, Result<DirectoryListing> listing) {
  Inode& inode = *wanted.pin.inode();
  if (!listing.ok() && listing.error().code == Code::kTooBig) {
    MutexLock lock(mutex_);
    if (too_big_.size() >= kMissesRemembered) {
      too_big_.clear();
    }
    too_big_[inode.number()] = asked_at;
  }
  if (!listing.ok() || elsewhere) {
    cache_.Failed(inode.number());
    return;
  }
  if (listing->directory) {
    inode.Saw(asked_at, *listing->directory);
  }
  if (options_.left_out) {
    std::erase_if(listing->entries, [&](const DirEntry& entry) { return options_.left_out(entry.name); });
  }
  cache_.Arrived(inode.number(), std::make_shared<const Listing>(asked_at, std::move(listing->entries)), Clock::now(),
                 wanted.purpose);
  if (wanted.purpose == Purpose::kAhead) {
    MutexLock lock(mutex_);
    if (walk_.alive(Clock::now()) && expanded_.insert(inode.number()).second) {
      frontier_.push_back(Frontier{inode.number()});
      work_.NotifyOne();
    }
  }
}

}  // namespace bt
