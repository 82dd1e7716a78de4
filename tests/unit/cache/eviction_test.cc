#include "cache/eviction.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "tests/unit/cache/cache_fixture.h"

namespace bt {
namespace {

class EvictionTest : public CacheTest {
 protected:
  void SetLastUse(const BlockKey& key, std::int64_t seconds) const {
    const struct timespec time { .tv_sec = seconds, .tv_nsec = 0 };
    const std::array<struct timespec, 2> times{time, time};
    ASSERT_EQ(::utimensat(AT_FDCWD, PathOf(key).c_str(), times.data(), 0), 0);
  }
  void SetExtentUse(const BlockKey& key, std::uint64_t extent, std::uint32_t seconds) const {
    std::fstream stream(PathOf(key), std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(static_cast<std::streamoff>(MapOffset(extent)));
    stream.write(reinterpret_cast<const char*>(&seconds), sizeof(seconds));
  }
  std::uint64_t DiskBytes() const {
    std::uint64_t bytes = 0;
    for (const CachedFile& file : ScanBlockFiles(directory(), {})) {
      bytes += file.disk_bytes;
    }
    return bytes;
  }
};

TEST_F(EvictionTest, WhatWasUsedLongestAgoGoesFirst) {
  auto cache = OpenCache();
  for (std::uint64_t i = 0; i < 5; ++i) {
    const BlockKey key = KeyOf("/f" + std::to_string(i), 1_MiB);
    Store(*cache->File(key), i, 0, 1_MiB);
    SetLastUse(key, 1'000'000 + static_cast<std::int64_t>((i * 3) % 5));  // 0 2(=3) 4(=1).. in this order: 0 2 4 1 3
  }
  EXPECT_GE(EvictBlocks(ScanBlockFiles(directory(), {}), 2_MiB, {}), 2_MiB);
  EXPECT_EQ(GoodBytes(*cache->File(KeyOf("/f0", 1_MiB)), 0), 0U);
  EXPECT_EQ(GoodBytes(*cache->File(KeyOf("/f2", 1_MiB)), 2), 0U);
  for (const std::uint64_t i : {1U, 3U, 4U}) {
    EXPECT_EQ(GoodBytes(*cache->File(KeyOf("/f" + std::to_string(i), 1_MiB)), i), 1_MiB) << i;
  }
}

TEST_F(EvictionTest, SupersededVersionsGoBeforeAnythingElse) {
  auto cache = OpenCache();
  const BlockKey old = KeyOf("/a", 1_MiB, 1);
  const BlockKey current = KeyOf("/a", 1_MiB, 2);
  const BlockKey cold = KeyOf("/b", 1_MiB);
  std::uint64_t number = 0;
  for (const BlockKey* key : {&old, &current, &cold}) {
    Store(*cache->File(*key), number++, 0, 1_MiB);
  }
  SetLastUse(cold, 1000);
  SetLastUse(old, 2000);
  SetLastUse(current, 3000);
  EvictBlocks(ScanBlockFiles(directory(), {}), 1_MiB, {});
  EXPECT_EQ(GoodBytes(*cache->File(old), 0), 0U);
  EXPECT_EQ(GoodBytes(*cache->File(current), 1), 1_MiB);
  EXPECT_EQ(GoodBytes(*cache->File(cold), 2), 1_MiB);
}

TEST_F(EvictionTest, ALargeFileLosesItsColdestParts) {
  auto cache = OpenCache();
  const std::uint64_t size = 8 * kExtentBytes;
  const BlockKey key = KeyOf("/big", size);
  auto file = cache->File(key);
  Store(*file, 1, 0, size);
  for (std::uint32_t extent = 0; extent < 8; ++extent) {
    SetExtentUse(key, extent, 1000 + (extent + 5) % 8);  // coldest: 3, 4, 5
  }
  SetLastUse(key, 5000);
  const std::uint64_t before = DiskBytes();
  const std::uint64_t freed = EvictBlocks(ScanBlockFiles(directory(), {}), 3 * kExtentBytes, {});
  EXPECT_EQ(DiskBytes(), before - freed);
  EXPECT_EQ(ScanBlockFiles(directory(), {}).front().last_use, 5000 * std::int64_t{1'000'000'000})
      << "losing parts is not being used";
  for (std::uint64_t extent = 0; extent < 8; ++extent) {
    const bool gone = extent >= 3 && extent < 6;
    EXPECT_EQ(ReadChecked(*file, 1, extent * kExtentBytes, kExtentBytes), gone ? 0 : kExtentBytes) << extent;
  }
  // The header's own extent may go too.
  SetExtentUse(key, 0, 1);
  EvictBlocks(ScanBlockFiles(directory(), {}), 1_MiB, {});
  EXPECT_EQ(ReadChecked(*file, 1, 0, kExtentBytes), 0U);
  EXPECT_EQ(GoodBytes(*OpenCache()->File(key), 1), 4 * kExtentBytes);
}

TEST_F(EvictionTest, ReadingIsUsing) {
  auto cache = OpenCache();
  const BlockKey key = KeyOf("/a", 1_MiB);
  auto file = cache->File(key);
  Store(*file, 1, 0, 1_MiB);
  SetExtentUse(key, 0, 1000);
  SetLastUse(key, 1000);
  ReadChecked(*file, 1, 0, 100);
  EXPECT_GT(ScanBlockFiles(directory(), {}).front().last_use, std::int64_t{1'600'000'000} * 1'000'000'000);
}

TEST_F(EvictionTest, TheLimitHoldsWhileMoreIsStored) {
  auto cache = OpenCache(32_MiB);
  const std::uint64_t size = 100_MiB;
  auto big = cache->File(KeyOf("/big", size));
  std::uint64_t most = 0;
  for (std::uint64_t at = 0; at < size; at += 1_MiB) {
    Store(*big, 1, at, 1_MiB);
    most = std::max(most, DiskBytes());
  }
  EXPECT_LE(most, 34_MiB);
  EXPECT_TRUE(Eventually([&] { return DiskBytes() <= 32_MiB; }));
  EXPECT_GT(GoodBytes(*big, 1), 8_MiB);
  // What comes later finds its place too.
  auto file = cache->File(KeyOf("/a", 1_MiB));
  EXPECT_TRUE(Eventually([&] {
    Store(*file, 2, 0, 1_MiB);
    return GoodBytes(*file, 2) == 1_MiB;
  }));
}

TEST_F(EvictionTest, TheReserveOfFreeSpaceHolds) {
  auto cache = OpenCache({.directory = directory(), .limit = 1_GiB, .reserve = UINT64_MAX / 2});
  auto file = cache->File(KeyOf("/a", 1_MiB));
  Store(*file, 1, 0, 1_MiB);
  EXPECT_EQ(GoodBytes(*file, 1), 0U) << "no disk has that much free";
  EXPECT_EQ(cache->usage().trouble, "");
}

TEST_F(EvictionTest, WhatAnEarlierProcessStoredCounts) {
  {
    auto cache = OpenCache();
    Store(*cache->File(KeyOf("/a", 20_MiB)), 1, 0, 20_MiB);
  }
  auto cache = OpenCache();
  EXPECT_TRUE(Eventually([&] { return cache->usage().bytes >= 20_MiB; }));
  auto smaller = OpenCache(10_MiB);
  EXPECT_TRUE(Eventually([&] { return DiskBytes() <= 10_MiB; }));
}

TEST_F(EvictionTest, SpaceIsFreeAtOnceThoughTheFileIsOpen) {
  auto cache = OpenCache();
  const BlockKey key = KeyOf("/a", 8_MiB);
  auto file = cache->File(key);
  Store(*file, 1, 0, 8_MiB);
  const int fd = ::open(PathOf(key).c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(RemoveBlockFile(PathOf(key)), 0);
  struct stat status {};
  ASSERT_EQ(::fstat(fd, &status), 0);
  EXPECT_EQ(status.st_blocks, 0);
  ::close(fd);
  EXPECT_EQ(GoodBytes(*file, 1), 0U);
  Store(*file, 1, 0, 8_MiB);
  EXPECT_EQ(GoodBytes(*OpenCache()->File(key), 1), 8_MiB);
}

TEST_F(EvictionTest, OneProcessAtATime) {
  auto cache = OpenCache();
  const EvictionLock first(directory());
  EXPECT_TRUE(first.held());
  EXPECT_FALSE(EvictionLock(directory()).held());
}

TEST_F(EvictionTest, WhatCrashedProcessesLeftIsRemovedAndTheRestIsLeftAlone) {
  auto cache = OpenCache();
  const BlockKey key = KeyOf("/a", 1_MiB);
  Store(*cache->File(key), 1, 0, 1_MiB);
  const auto folder = PathOf(key).parent_path();
  for (const char* name : {".new-1-1", ".new-1-2", "notes.txt"}) {
    std::ofstream(folder / name) << "x";
  }
  const struct timespec past { .tv_sec = 1000, .tv_nsec = 0 };
  const std::array<struct timespec, 2> times{past, past};
  ::utimensat(AT_FDCWD, (folder / ".new-1-1").c_str(), times.data(), 0);
  ::utimensat(AT_FDCWD, (folder / "notes.txt").c_str(), times.data(), 0);
  EXPECT_EQ(ScanBlockFiles(directory(), {}).size(), 1U);
  EXPECT_FALSE(std::filesystem::exists(folder / ".new-1-1"));
  EXPECT_TRUE(std::filesystem::exists(folder / ".new-1-2")) << "may be under way";
  EvictBlocks(ScanBlockFiles(directory(), {}), 1_GiB, {});
  EXPECT_TRUE(std::filesystem::exists(folder / "notes.txt"));
}

TEST_F(EvictionTest, ReadersOfWhatIsEvictedSeeAMissOrTheTruth) {
  auto cache = OpenCache();
  const std::uint64_t size = 4 * kExtentBytes;
  auto file = cache->File(KeyOf("/big", size));
  std::jthread evictor([this](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      EvictBlocks(ScanBlockFiles(directory(), {}), 1_MiB, stop);
    }
  });
  for (int round = 0; round < 20; ++round) {
    for (std::uint64_t at = 0; at < size; at += 4 * kGranule) {
      Store(*file, 1, at, 4 * kGranule);
      ReadChecked(*file, 1, at, 4 * kGranule);
    }
  }
}

}  // namespace
}  // namespace bt
