// No test sleeps: the times are made up.
#include "fs/directory_cache.h"

#include <fstream>
#include <iostream>
#include <thread>

#include <gtest/gtest.h>

namespace bt {
namespace {

using std::chrono::milliseconds;
using Kind = DirectoryCache::Answer::Kind;
using Age = DirectoryCache::Age;
using Purpose = DirectoryCache::Purpose;

Name Named(std::string_view text) { return Name::Parse(text).value(); }

DirEntry File(std::string_view name, std::uint64_t size = 0) {
  return {Named(name), Attributes{.size = size, .mode = S_IFREG | 0644U}};
}

class Cache : public testing::Test {
 protected:
  Cache() : inodes_(RemotePath()) { Restart({}); }

  void Restart(const DirectoryCacheOptions& options) {
    cache_.reset();
    cache_ = std::make_unique<DirectoryCache>(options);
  }

  TimePoint At(int ms) const { return start_ + milliseconds(ms); }
  void Ask(InodeNo directory, int ms, Purpose purpose = Purpose::kDemand) {
    cache_->Asking(std::move(inodes_.Pin(directory)).value(), At(ms), purpose);
  }
  void Answer(InodeNo directory, int asked_ms, int ms, std::vector<DirEntry> entries,
              Purpose purpose = Purpose::kDemand) {
    cache_->Arrived(directory, std::make_shared<const Listing>(At(asked_ms), std::move(entries)), At(ms), purpose);
  }
  void List(InodeNo directory, int ms, std::vector<DirEntry> entries, Purpose purpose = Purpose::kDemand) {
    Ask(directory, ms, purpose);
    Answer(directory, ms, ms, std::move(entries), purpose);
  }
  InodeNo Directory(std::string_view name) { return (*inodes_.LookUp(kRootInode, Named(name), S_IFDIR))->number(); }
  Kind Find(std::string_view name, int ms, Age age = Age::kFresh) {
    return cache_->Find(kRootInode, name, At(ms), age).kind;
  }
  std::vector<InodeNo> Due(int ms) {
    std::vector<InodeNo> numbers;
    for (const DirectoryCache::Due& due : cache_->TakeDue(At(ms), 100)) {
      numbers.push_back(due.directory);
    }
    return numbers;
  }

  InodeTable inodes_;
  std::unique_ptr<DirectoryCache> cache_;
  const TimePoint start_ = Clock::now();
};

TEST_F(Cache, KnowsNothingWithoutAListing) {
  EXPECT_EQ(Find("a", 0), Kind::kUnknown);
  EXPECT_FALSE(cache_->Take(kRootInode, At(0), Age::kAny).has_value());
}

TEST_F(Cache, AListingTellsWhatIsThereAndWhatIsNot) {
  List(kRootInode, 0, {File("a", 5), File("b")});
  const auto answer = cache_->Find(kRootInode, "a", At(10), Age::kFresh);
  EXPECT_EQ(answer.kind, Kind::kThere);
  EXPECT_EQ(answer.attributes->size, 5U);
  EXPECT_EQ(answer.until, At(1000));
  EXPECT_EQ(Find("c", 999), Kind::kAbsent);
}

TEST_F(Cache, NothingIsToldLongerThanItsLifetime) {
  List(kRootInode, 0, {File("a")});
  EXPECT_EQ(Find("a", 1000), Kind::kUnknown);
  EXPECT_EQ(Find("c", 1000), Kind::kUnknown);
  EXPECT_FALSE(cache_->Take(kRootInode, At(1000), Age::kFresh).has_value());
  EXPECT_EQ(Find("a", 1000, Age::kAny), Kind::kThere);
  EXPECT_TRUE(cache_->Take(kRootInode, At(1000), Age::kAny).has_value());
}

TEST_F(Cache, AgeCountsFromTheQuestionNotFromTheAnswer) {
  Ask(kRootInode, 0);
  Answer(kRootInode, 0, 900, {File("a")});
  EXPECT_EQ(Find("a", 950), Kind::kThere);
  EXPECT_EQ(Find("a", 1000), Kind::kUnknown);
}

TEST_F(Cache, AChangeFromHereIsSeenAtOnce) {
  List(kRootInode, 0, {File("a"), File("b")});
  cache_->Changed(kRootInode, Named("a"), std::nullopt, At(10));
  cache_->Changed(kRootInode, Named("c"), S_IFDIR, At(10));
  EXPECT_EQ(Find("a", 20), Kind::kAbsent);
  EXPECT_EQ(Find("c", 20), Kind::kThere);
  const auto snapshot = cache_->Take(kRootInode, At(20), Age::kFresh);
  ASSERT_EQ(snapshot->listing->entries().size(), 2U);
  EXPECT_EQ(snapshot->listing->entries()[0].name.text(), "b");
  EXPECT_EQ(snapshot->listing->entries()[1].name.text(), "c");
  EXPECT_EQ(snapshot->listing->asked_at(), At(0));
}

TEST_F(Cache, AListingOnItsWayDuringAChangeDoesNotUndoIt) {
  List(kRootInode, 0, {File("a")});
  Ask(kRootInode, 100, Purpose::kRefresh);
  cache_->Changed(kRootInode, Named("a"), std::nullopt, At(150));
  cache_->Changed(kRootInode, Named("new"), S_IFREG, At(150));
  Answer(kRootInode, 100, 200, {File("a")}, Purpose::kRefresh);
  EXPECT_EQ(Find("a", 210), Kind::kAbsent);
  EXPECT_EQ(Find("new", 210), Kind::kThere);
  List(kRootInode, 300, {File("a")});  // asked afterwards: somebody has made it again
  EXPECT_EQ(Find("a", 310), Kind::kThere);
  EXPECT_EQ(Find("new", 310), Kind::kAbsent);
}

TEST_F(Cache, TheFirstListingOnItsWayDuringAChangeDoesNotUndoItEither) {
  Ask(kRootInode, 0);
  cache_->Changed(kRootInode, Named("new"), S_IFREG, At(50));
  Answer(kRootInode, 0, 100, {});
  EXPECT_EQ(Find("new", 110), Kind::kThere);
}

TEST_F(Cache, AttributesOfAFileThatWasReplacedAreNotThoseOfTheNewOne) {
  List(kRootInode, 0, {File("a", 5)});
  cache_->Changed(kRootInode, Named("a"), S_IFREG, At(10));
  EXPECT_FALSE(cache_->Find(kRootInode, "a", At(20), Age::kFresh).attributes.has_value());
}

TEST_F(Cache, AnOlderListingDoesNotReplaceANewerOne) {
  Ask(kRootInode, 0);
  Ask(kRootInode, 100);
  Answer(kRootInode, 100, 200, {File("new")});
  Answer(kRootInode, 0, 300, {File("old")});
  EXPECT_EQ(Find("new", 310), Kind::kThere);
  EXPECT_EQ(Find("old", 310), Kind::kAbsent);
}

TEST_F(Cache, WhatIsInDoubtIsForgottenAndListingsOnTheirWayAreNotBelieved) {
  List(kRootInode, 0, {File("a")});
  Ask(kRootInode, 100);
  cache_->Doubt(kRootInode, At(150));
  Answer(kRootInode, 100, 200, {File("a")});
  EXPECT_EQ(Find("a", 210), Kind::kUnknown);
  List(kRootInode, 300, {File("a")});
  EXPECT_EQ(Find("a", 310), Kind::kThere);
}

TEST_F(Cache, AListingOfADroppedDirectoryIsNotBelieved) {
  Ask(kRootInode, 0);
  cache_->Drop(kRootInode);
  Ask(kRootInode, 100);
  Answer(kRootInode, 0, 150, {File("a")});
  EXPECT_EQ(Find("a", 160), Kind::kUnknown);
}

TEST_F(Cache, TheServersWordOnANameIsNewerThanTheListing) {
  List(kRootInode, 0, {File("a")});
  cache_->Seen(kRootInode, Named("a"), std::nullopt, At(500));
  cache_->Seen(kRootInode, Named("b"), File("b").attributes, At(500));
  EXPECT_EQ(Find("a", 510), Kind::kAbsent);
  EXPECT_EQ(Find("b", 510), Kind::kThere);
}

TEST_F(Cache, TheServersWordDoesNotUndoALaterChangeFromHere) {
  List(kRootInode, 0, {File("a")});
  cache_->Changed(kRootInode, Named("a"), std::nullopt, At(500));
  cache_->Seen(kRootInode, Named("a"), File("a").attributes, At(400));
  EXPECT_EQ(Find("a", 510), Kind::kAbsent);
}

TEST_F(Cache, TheServersWordOnANameIsGoodForItsOwnLifetime) {
  List(kRootInode, 0, {File("a"), File("b")});
  cache_->Seen(kRootInode, Named("a"), File("a", 7).attributes, At(900));
  EXPECT_EQ(cache_->Find(kRootInode, "a", At(1800), Age::kFresh).attributes->size, 7U);
  EXPECT_EQ(Find("b", 1800), Kind::kUnknown);
  EXPECT_EQ(Find("a", 1900), Kind::kUnknown);
}

TEST_F(Cache, DirectoriesInUseAreDueBeforeTheirListingIsTooOld) {
  List(kRootInode, 0, {File("a")});
  EXPECT_TRUE(Due(300).empty());
  EXPECT_EQ(Due(700), std::vector{kRootInode});
  EXPECT_TRUE(Due(700).empty());  // until its listing has come
  List(kRootInode, 700, {File("a")}, Purpose::kRefresh);
  EXPECT_EQ(cache_->NextDue(), At(1350));
  EXPECT_EQ(Due(1400), std::vector{kRootInode});
}

TEST_F(Cache, SlowListingsAreDueEarlier) {
  cache_->TookToRefresh(milliseconds(240));
  List(kRootInode, 0, {});
  EXPECT_EQ(cache_->NextDue(), At(400));
}

TEST_F(Cache, DirectoriesThatNobodyUsesAreNotDue) {
  List(kRootInode, 0, {File("a")});
  for (int ms = 700; ms < 5000; ms += 700) {
    ASSERT_EQ(Due(ms).size(), 1U) << ms;
    List(kRootInode, ms, {File("a")}, Purpose::kRefresh);
  }
  EXPECT_TRUE(Due(6000).empty());
  EXPECT_EQ(cache_->NextDue(), TimePoint::max());
}

TEST_F(Cache, LookupsKeepADirectoryInUse) {
  List(kRootInode, 0, {File("a")});
  for (int ms = 700; ms < 60'000; ms += 700) {
    ASSERT_EQ(Due(ms).size(), 1U) << ms;
    List(kRootInode, ms, {File("a")}, Purpose::kRefresh);
    if (ms % 2100 == 0) {
      EXPECT_EQ(Find("a", ms + 10), Kind::kThere);
    }
  }
}

TEST_F(Cache, TheLeastRecentlyUsedAreNotKeptFreshBeyondTheLimit) {
  Restart({.max_fresh_entries = 20});
  const InodeNo old = Directory("old");
  const InodeNo mid = Directory("mid");
  const InodeNo young = Directory("young");
  const std::vector<DirEntry> three{File("a"), File("b"), File("c")};
  List(old, 0, three);
  List(mid, 1, three);
  cache_->Find(old, "a", At(2), Age::kFresh);
  List(young, 3, three);
  EXPECT_EQ(cache_->counts().fresh_entries, 16U);
  EXPECT_EQ(Due(800), (std::vector{old, young}));
  EXPECT_TRUE(cache_->Find(mid, "a", At(800), Age::kFresh).kind == Kind::kThere);  // known, but it ages
}

TEST_F(Cache, ALinkThatIsTooSlowKeepsLessFresh) {
  Restart({.max_fresh_entries = 10'000});
  std::vector<DirEntry> many;
  for (int i = 0; i < 3000; ++i) {
    many.push_back(File(std::to_string(i)));
  }
  List(kRootInode, 0, many);
  EXPECT_EQ(cache_->counts().fresh_entries, 3005U);
  for (int i = 0; i < 20; ++i) {
    cache_->TookToRefresh(milliseconds(800));
  }
  EXPECT_EQ(cache_->counts().fresh_entries, 0U);
}

TEST_F(Cache, WhatWasListedAheadIsCountedAsUsedOrWasted) {
  const InodeNo a = Directory("a");
  const InodeNo b = Directory("b");
  List(a, 0, {}, Purpose::kAhead);
  List(b, 0, {}, Purpose::kAhead);
  EXPECT_EQ(cache_->counts().ahead_unused, 2U);
  cache_->Find(a, "x", At(10), Age::kFresh);
  EXPECT_EQ(cache_->counts().ahead_used, 1U);
  for (int ms = 700; ms < 4000; ms += 700) {
    for (const InodeNo due : Due(ms)) {
      List(due, ms, {}, Purpose::kRefresh);
    }
  }
  EXPECT_EQ(cache_->counts().ahead_wasted, 1U);
  EXPECT_EQ(cache_->counts().ahead_unused, 0U);
}

TEST_F(Cache, TheLeastRecentlyUsedDirectoriesAreDroppedBeyondTheLimit) {
  Restart({.max_entries = 30});
  const InodeNo a = Directory("a");
  const InodeNo b = Directory("b");
  const InodeNo c = Directory("c");
  const std::vector<DirEntry> five{File("1"), File("2"), File("3"), File("4"), File("5")};
  List(a, 0, five);
  List(b, 1, five);
  cache_->Find(a, "1", At(2), Age::kFresh);
  List(c, 3, five);
  List(kRootInode, 4, five);
  EXPECT_LE(cache_->counts().entries, 30U);
  EXPECT_EQ(cache_->Find(b, "1", At(5), Age::kFresh).kind, Kind::kUnknown);
  EXPECT_EQ(cache_->Find(c, "1", At(5), Age::kFresh).kind, Kind::kThere);
}

TEST_F(Cache, ADroppedDirectoryIsForgottenByTheInodeTable) {
  const InodeNo directory = Directory("d");
  List(directory, 0, {File("a")});
  inodes_.Forget(directory, 1);
  EXPECT_TRUE(inodes_.PathOf(directory).ok());
  cache_->Drop(directory);
  EXPECT_FALSE(inodes_.PathOf(directory).ok());
}

TEST_F(Cache, WaitsForAListingOnItsWay) {
  Ask(kRootInode, 0, Purpose::kAhead);
  std::jthread arrival([&] {
    cache_->Arrived(kRootInode, std::make_shared<const Listing>(Clock::now(), std::vector<DirEntry>{}), Clock::now(),
                    Purpose::kAhead);
  });
  cache_->AwaitArrival(OpContext{}, kRootInode);
  EXPECT_TRUE(cache_->Take(kRootInode, Clock::now(), Age::kFresh).has_value());
  cache_->AwaitArrival(OpContext{}, Directory("never-asked"));
}

std::size_t ResidentBytes() {
  std::ifstream stat("/proc/self/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  stat >> total >> resident;
  return resident * 4096;
}

TEST_F(Cache, AMillionEntriesFitIntoFourHundredMebibytes) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizers' memory is measured along";
#endif
  const std::size_t before = ResidentBytes();
  for (int d = 0; d < 1000; ++d) {
    std::vector<DirEntry> entries;
    for (int f = 0; f < 990; ++f) {
      entries.push_back(File("a-file-with-a-rather-usual-name-" + std::to_string(f) + ".bin"));
    }
    List(Directory(std::to_string(d)), 0, std::move(entries));
  }
  const std::size_t used = ResidentBytes() - before;
  std::cout << cache_->counts().entries << " entries in " << cache_->counts().directories
            << " directories: " << (used >> 20U) << " MiB\n";
  EXPECT_GE(cache_->counts().entries, 990'000U);
  EXPECT_LT(used, std::size_t{400} << 20U);
}

}  // namespace
}  // namespace bt
