#include "cache/block_file.h"

#include "tests/unit/cache/cache_fixture.h"

namespace bt {
namespace {

using BlockFileTest = CacheTest;

TEST_F(BlockFileTest, HasNothingAtFirst) {
  auto cache = OpenCache();
  auto file = cache->File(KeyOf("/a", 100_KiB));
  EXPECT_EQ(ReadChecked(*file, 1, 0, 4096), 0U);
  EXPECT_EQ(file->PresentEnd(0, 100_KiB), 0U);
  EXPECT_FALSE(file->Present(0, 1));
  EXPECT_TRUE(Files().empty()) << "looking makes no files";
}

TEST_F(BlockFileTest, YieldsWhatWasCommitted) {
  auto cache = OpenCache();
  auto file = cache->File(KeyOf("/a", 100_KiB + 17));
  Store(*file, 1, 0, 100_KiB + 17);
  EXPECT_EQ(ReadChecked(*file, 1, 0, 200_KiB), 100_KiB + 17);
  EXPECT_EQ(ReadChecked(*file, 1, 1, 5), 5U);
  EXPECT_EQ(ReadChecked(*file, 1, 32_KiB - 1, 2), 2U);
  EXPECT_EQ(ReadChecked(*file, 1, 96_KiB - 5, 64_KiB), 4_KiB + 22);
  EXPECT_EQ(ReadChecked(*file, 1, 100_KiB + 17, 1), 0U);
  EXPECT_TRUE(file->Present(0, 200_KiB));
}

TEST_F(BlockFileTest, DoesNotYieldWhatWasOnlyStaged) {
  auto cache = OpenCache();
  auto file = cache->File(KeyOf("/a", 100_KiB));
  auto pending = file->Stage(0, TrueBytes(1, 0, 100_KiB));
  EXPECT_FALSE(pending.empty());
  EXPECT_EQ(ReadChecked(*file, 1, 0, 100_KiB), 0U);
  pending = {};
  EXPECT_EQ(ReadChecked(*file, 1, 0, 100_KiB), 0U);
}

TEST_F(BlockFileTest, EveryRangeIsRightAcrossExtents) {
  auto cache = OpenCache();
  const std::uint64_t size = 2 * kExtentBytes + 3 * kGranule + 77;
  auto file = cache->File(KeyOf("/a", size));
  Store(*file, 3, 0, size);
  EXPECT_EQ(ReadChecked(*file, 3, 0, size), size);
  for (const std::uint64_t around : {kGranule, kExtentBytes - kGranule, kExtentBytes, 2 * kExtentBytes, size}) {
    for (const std::uint64_t before : {std::uint64_t{0}, std::uint64_t{1}, kGranule - 1, kGranule}) {
      for (const std::uint64_t length : {std::uint64_t{1}, std::uint64_t{4096}, kGranule, 3 * kGranule + 5}) {
        const std::uint64_t offset = around - before;
        EXPECT_EQ(ReadChecked(*file, 3, offset, length), offset < size ? std::min(length, size - offset) : 0);
      }
    }
  }
}

}  // namespace
}  // namespace bt
