// What is known of the names in directories: the last complete listing of each, with what was learned since on top.
//
// Age is everything here. An answer is good while the listing that it rests on was asked for less than `lifetime` ago;
// what is older is told only to those who ask for it "however old", because nobody can be asked. So that lookups in
// directories in use cost nothing, such directories are to be listed again before their listing is too old
// (TakeDue()), the most recently used first and not more than `max_fresh_entries` entries in all.
//
// Knowledge that is newer than a listing wins over it, however late the listing comes in: names made, removed and moved
// from here, and the server's word on single names. It is kept beside the listing until one that was asked for later
// arrives, and good for a lifetime of its own.
//
// Threading: any thread. Never calls out, except that giving up a directory gives up its pin. Times are the caller's,
// so that tests need no sleep.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "fs/inode_table.h"
#include "fs/listing.h"
#include "transport/base/sync.h"

namespace bt {

struct DirectoryCacheOptions {
  Duration lifetime = std::chrono::seconds(1);
  std::size_t max_entries = 1'000'000;     // in memory; the least recently used directories are dropped
  std::size_t max_fresh_entries = 16'000;  // kept fresh; a directory counts as kDirectoryWeight entries more
};

class DirectoryCache {
 public:
  static constexpr std::size_t kDirectoryWeight = 5;

  explicit DirectoryCache(const DirectoryCacheOptions& options);
  ~DirectoryCache();
  DirectoryCache(const DirectoryCache&) = delete;
  DirectoryCache& operator=(const DirectoryCache&) = delete;

  enum class Age { kFresh, kAny };

  // What is known of a name. `until`: how long it may be told, by the lifetime.
  struct Answer {
    enum class Kind { kUnknown, kThere, kAbsent };
    Kind kind = Kind::kUnknown;
    TimePoint until;
    mode_t type = 0;                       // when there: one of S_IFMT
    std::optional<Attributes> attributes;  // when there, unless only the name is known; asked for at `asked_at`
    TimePoint asked_at;
    std::uint64_t version = 0;  // of the directory: still the same when no name was learned since
  };
  // The second is that of a program, and keeps the directory in use.
  Answer Peek(InodeNo directory, std::string_view name, TimePoint now, Age age) const;
  Answer Find(InodeNo directory, std::string_view name, TimePoint now, Age age);
  std::uint64_t VersionOf(InodeNo directory) const;

  // All names of the directory, what was learned since its listing included, in the server's order. Keeps it in use.
  // Null when they are not known. `taken_at`: when this was put together.
  struct Snapshot {
    std::shared_ptr<const Listing> listing;
    TimePoint taken_at;
  };
  std::optional<Snapshot> Take(InodeNo directory, TimePoint now, Age age);
  // The listing alone, to look ahead by; does not count as use. Null when there is none of that age.
  std::shared_ptr<const Listing> Known(InodeNo directory, TimePoint now, Age age) const;

  // From here, something (of this type) or nothing was put at the name; known since `at`, after the server's answer.
  void Changed(InodeNo directory, const Name& name, std::optional<mode_t> type, TimePoint at);
  // The server's word on one name, asked for at `at`: its attributes, or nothing there.
  void Seen(InodeNo directory, const Name& name, const std::optional<Attributes>& attributes, TimePoint at);
  // Something was done to names in the directory and nobody can tell what.
  void Doubt(InodeNo directory, TimePoint now);
  // The directory is not there any more.
  void Drop(InodeNo directory);

  // Why a listing is taken: a program waits for it; one may need it soon; to keep it fresh.
  enum class Purpose { kDemand, kAhead, kRefresh };
  // A listing is asked for after `now`, until Arrived() or Failed(). What was asked for before Asking() is not
  // believed.
  void Asking(InodePin directory, TimePoint now, Purpose purpose);
  void Arrived(InodeNo directory, const std::shared_ptr<const Listing>& listing, TimePoint now, Purpose purpose);
  void Failed(InodeNo directory);
  // Waits while a listing of the directory is on its way and none is fresh, or until the context ends.
  void AwaitArrival(const OpContext& ctx, InodeNo directory);
  bool FreshOrOnItsWay(InodeNo directory, TimePoint now) const;

  // Directories whose listing is to be taken again now, at most `count` of them, and when to ask for more. Those that
  // are taken are not given out again until their listing has arrived.
  struct Due {
    InodeNo directory{};
    std::size_t expected_entries = 0;
  };
  std::vector<Due> TakeDue(TimePoint now, std::size_t count);
  TimePoint NextDue() const;
  // How long it takes to list again: sets how early that begins, and, when it takes too long, how much is kept fresh.
  void TookToRefresh(Duration duration);

  struct Counts {
    std::size_t directories = 0;
    std::size_t entries = 0;
    std::size_t fresh_entries = 0;   // kept fresh, weights included
    std::uint64_t ahead_used = 0;    // directories listed ahead that a program then asked for
    std::uint64_t ahead_wasted = 0;  // that nobody asked for in time
    std::size_t ahead_unused = 0;    // neither, yet
  };
  Counts counts() const;

 private:
  struct Learned {
    std::optional<mode_t> type;
    TimePoint at;
    std::optional<Attributes> attributes;
  };
  struct Record;
  using Recency = std::list<InodeNo>;  // the most recently used first

  Record* RecordOf(InodeNo directory) const REQUIRES(mutex_);
  bool Fresh(const Record& record, TimePoint now) const;
  Answer FindIn(const Record& record, std::string_view name, TimePoint now, Age age) const;
  void Use(Record& record, TimePoint now) REQUIRES(mutex_);
  void SetListing(Record& record, std::shared_ptr<const Listing> listing) REQUIRES(mutex_);
  void KeepFresh(Record& record) REQUIRES(mutex_);
  void LetAge(Record& record) REQUIRES(mutex_);
  void LetAgeBeyondLimit() REQUIRES(mutex_);
  void SetDue(Record& record, std::optional<TimePoint> due) REQUIRES(mutex_);
  void NoteWasted(Record& record) REQUIRES(mutex_);
  // Records that leave are handed to the caller, who lets go of them without the lock.
  using Dropped = std::vector<std::unique_ptr<Record>>;
  void Remove(InodeNo directory, Dropped& dropped) REQUIRES(mutex_);
  void MakeRoom(Dropped& dropped) REQUIRES(mutex_);

  const DirectoryCacheOptions options_;

  mutable Mutex mutex_;
  CondVar arrived_;
  std::unordered_map<InodeNo, std::unique_ptr<Record>> records_ GUARDED_BY(mutex_);
  Recency recency_ GUARDED_BY(mutex_);
  Recency kept_ GUARDED_BY(mutex_);  // those that are kept fresh
  std::set<std::pair<TimePoint, InodeNo>> due_ GUARDED_BY(mutex_);
  std::size_t entries_ GUARDED_BY(mutex_) = 0;
  std::size_t fresh_limit_ GUARDED_BY(mutex_);
  Duration refresh_time_ GUARDED_BY(mutex_){};
  Counts counts_ GUARDED_BY(mutex_);
};

}  // namespace bt
