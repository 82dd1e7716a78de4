#include "cache/block_cache.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "tests/unit/cache/cache_fixture.h"

namespace bt {
namespace {

using BlockCacheTest = CacheTest;

TEST_F(BlockCacheTest, OneKeyIsOneObjectWhileItLives) {
  auto cache = OpenCache();
  auto file = cache->File(KeyOf("/a", 100));
  EXPECT_EQ(file, cache->File(KeyOf("/a", 100)));
  EXPECT_NE(file, cache->File(KeyOf("/a", 101)));
  EXPECT_NE(file, cache->File(KeyOf("/b", 100)));
}

TEST_F(BlockCacheTest, ManyMoreFilesThanDescriptors) {
  auto cache = OpenCache({.directory = directory(), .limit = 1_GiB, .reserve = 0, .open_files = 4});
  std::vector<std::shared_ptr<BlockFile>> files;
  for (std::uint64_t i = 0; i < 100; ++i) {
    files.push_back(cache->File(KeyOf("/f" + std::to_string(i), 40_KiB)));
    Store(*files.back(), i, 0, 40_KiB);
  }
  for (std::uint64_t i = 0; i < 100; ++i) {
    EXPECT_EQ(ReadChecked(*files[i], i, 0, 40_KiB), 40_KiB);
  }
  const auto descriptors = std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  EXPECT_LT(descriptors, 40);
}

TEST_F(BlockCacheTest, TwoVersionsOfAPathAreBothFine) {
  auto cache = OpenCache();
  auto before = cache->File(KeyOf("/a", 1_MiB, 1));
  auto after = cache->File(KeyOf("/a", 1_MiB, 2));
  Store(*before, 1, 0, 1_MiB);
  Store(*after, 2, 0, 1_MiB);
  EXPECT_EQ(ReadChecked(*before, 1, 0, 1_MiB), 1_MiB);
  EXPECT_EQ(ReadChecked(*after, 2, 0, 1_MiB), 1_MiB);
}

TEST_F(BlockCacheTest, AGrownFileKeepsItsBeginning) {
  auto cache = OpenCache();
  const BlockKey old = KeyOf("/log", 5_MiB + 100, 1);
  const BlockKey key = KeyOf("/log", 5_MiB + 300, 2);
  auto before = cache->File(old);
  Store(*before, 1, 0, 5_MiB + 100);
  auto after = cache->Grown(old, key);
  EXPECT_EQ(after, cache->File(key));
  EXPECT_EQ(ReadChecked(*after, 1, 0, 6_MiB), 5_MiB) << "all but the granule that was short";
  EXPECT_EQ(ReadChecked(*before, 1, 0, 6_MiB), 0U);
  Store(*after, 1, 5_MiB, 300);
  EXPECT_EQ(ReadChecked(*after, 1, 0, 6_MiB), 5_MiB + 300);
  after.reset();
  EXPECT_EQ(GoodBytes(*OpenCache()->File(key), 1), 5_MiB + 300);
  EXPECT_EQ(Files().size(), 1U);
}

TEST_F(BlockCacheTest, AFileThatGrowsAHundredTimesKeepsItsBeginning) {
  auto cache = OpenCache();
  std::uint64_t size = 100_KiB;
  auto file = cache->File(KeyOf("/log", size));
  Store(*file, 1, 0, size);
  for (std::int64_t step = 1; step <= 100; ++step) {
    const std::uint64_t grown = size + 1777 * static_cast<std::uint64_t>(step);
    file = cache->Grown(file->key(), KeyOf("/log", grown, file->key().version.mtime + step));
    const std::uint64_t kept = size / kGranule * kGranule;
    ASSERT_EQ(GoodBytes(*file, 1), kept);
    Store(*file, 1, kept, grown - kept);
    size = grown;
  }
  EXPECT_EQ(GoodBytes(*file, 1), size);
}

TEST_F(BlockCacheTest, GrownDoesNotHarmWhatIsThereAlready) {
  auto cache = OpenCache();
  const BlockKey old = KeyOf("/log", 1_MiB, 1);
  const BlockKey key = KeyOf("/log", 2_MiB, 2);
  Store(*cache->File(old), 1, 0, 1_MiB);
  Store(*cache->File(key), 1, 1_MiB, 1_MiB);
  auto file = cache->Grown(old, key);
  EXPECT_EQ(ReadChecked(*file, 1, 1_MiB, 1_MiB), 1_MiB);
  // Of another path, or no growth: nothing is taken over.
  EXPECT_EQ(GoodBytes(*cache->Grown(old, KeyOf("/other", 2_MiB, 2)), 1), 0U);
  EXPECT_EQ(GoodBytes(*cache->Grown(old, KeyOf("/log", 100, 3)), 1), 0U);
  EXPECT_EQ(GoodBytes(*cache->Grown(KeyOf("/none", 5), KeyOf("/none", 6)), 1), 0U);
}

TEST_F(BlockCacheTest, AVersionThatOthersStillReadMayGrow) {
  auto cache = OpenCache();
  auto other = OpenCache();
  const BlockKey old = KeyOf("/log", 1_MiB + 5, 1);
  const BlockKey key = KeyOf("/log", 2_MiB, 2);
  auto theirs = other->File(old);
  Store(*theirs, 1, 0, 512_KiB);
  auto pending = theirs->Stage(512_KiB, TrueBytes(1, 512_KiB, 512_KiB + 5));
  auto file = cache->Grown(old, key);
  EXPECT_EQ(GoodBytes(*file, 1), 512_KiB);
  theirs->Commit(std::move(pending));  // the same bytes; their last granule is short where ours is not
  EXPECT_EQ(GoodBytes(*file, 1), 1_MiB);
  EXPECT_EQ(GoodBytes(*theirs, 1), 1_MiB);
  Store(*file, 1, 0, 2_MiB);
  EXPECT_EQ(GoodBytes(*file, 1), 2_MiB);
}

TEST_F(BlockCacheTest, KeepsAnyNameApart) {
  auto cache = OpenCache();
  std::string deep;
  for (int i = 0; i < 30; ++i) {
    deep += "/" + std::string(250, 'd');
  }
  std::vector<BlockKey> keys{KeyOf("/a", 1_MiB), KeyOf("/\xff\xfe\n", 1_MiB), KeyOf(deep, 1_MiB)};
  for (const char* workspace : {"", ".", "..", "a/b", "a_b", "\xc3\xa4"}) {
    keys.push_back(keys.front());
    keys.back().workspace = workspace;
  }
  for (std::uint64_t i = 0; i < keys.size(); ++i) {
    Store(*cache->File(keys[i]), i, 0, 1_MiB);
  }
  cache = OpenCache();
  for (std::uint64_t i = 0; i < keys.size(); ++i) {
    EXPECT_EQ(GoodBytes(*cache->File(keys[i]), i), 1_MiB) << i;
  }
  EXPECT_EQ(Files().size(), keys.size());
}

TEST_F(BlockCacheTest, WhatIsWrongWithOneFileDoesNotStopTheOthers) {
  auto cache = OpenCache();
  std::string much_too_deep;
  for (int i = 0; i < 130; ++i) {
    much_too_deep += "/" + std::string(250, 'd');
  }
  Store(*cache->File(KeyOf(much_too_deep, 1_MiB)), 1, 0, 1_MiB);
  EXPECT_EQ(GoodBytes(*cache->File(KeyOf(much_too_deep, 1_MiB)), 1), 0U);
  auto huge = cache->File(KeyOf("/huge", UINT64_MAX / 2));
  const std::uint64_t far = UINT64_MAX / 4 / kGranule * kGranule;
  Store(*huge, 2, far, kGranule);
  ReadChecked(*huge, 2, far, kGranule);
  EXPECT_EQ(cache->usage().trouble, "");
  Store(*cache->File(KeyOf("/a", 1_MiB)), 3, 0, 1_MiB);
  EXPECT_EQ(GoodBytes(*cache->File(KeyOf("/a", 1_MiB)), 3), 1_MiB);
}

TEST_F(BlockCacheTest, RefusesADirectoryThatOthersMayChange) {
  std::filesystem::create_directories(directory());
  ASSERT_EQ(::chmod(directory().c_str(), 0777), 0);
  auto cache = BlockCache::Open({.directory = directory()});
  ASSERT_FALSE(cache.ok());
  EXPECT_EQ(cache.error().code, Code::kConfig);
  EXPECT_NE(cache.error().text.find(directory().string()), std::string::npos);
}

TEST_F(BlockCacheTest, RefusesWhatIsNoDirectory) {
  std::ofstream(directory()) << "a file";
  EXPECT_FALSE(BlockCache::Open({.directory = directory()}).ok());
  EXPECT_FALSE(BlockCache::Open({.directory = "relative"}).ok());
  EXPECT_FALSE(BlockCache::Open({.directory = directory() / "below"}).ok());
}

TEST_F(BlockCacheTest, FilesMayOutliveTheCache) {
  auto cache = OpenCache();
  auto file = cache->File(KeyOf("/a", 1_MiB));
  cache.reset();
  Store(*file, 1, 0, 1_MiB);
  EXPECT_EQ(GoodBytes(*file, 1), 1_MiB);
}

TEST_F(BlockCacheTest, ManyThreadsFillAndReadOneFile) {
  auto cache = OpenCache();
  const std::uint64_t size = 6_MiB + 5;
  auto file = cache->File(KeyOf("/a", size));
  {
    std::vector<std::jthread> threads;
    for (unsigned seed = 0; seed < 6; ++seed) {
      threads.emplace_back([&file, seed, size] {
        for (std::uint64_t i = 0; i < 60; ++i) {
          const std::uint64_t offset = (i * 7 + seed * 11) % 193 * kGranule;
          const std::uint64_t length = std::min(5 * kGranule, size - offset);
          if (ReadChecked(*file, 1, offset, length) < length) {
            Store(*file, 1, offset, length);
          }
        }
      });
    }
  }
  EXPECT_EQ(Files().size(), 1U);
  EXPECT_GT(GoodBytes(*file, 1), 0U);
  EXPECT_EQ(cache->usage().bad_granules, 0U);
}

}  // namespace
}  // namespace bt
