#include "cache/block_file.h"

#include <sys/stat.h>

#include <fstream>

#include "tests/unit/cache/cache_fixture.h"

namespace bt {
namespace {

class BlockFileTest : public CacheTest {
 protected:
  static void FlipBit(const std::filesystem::path& file, std::uint64_t offset) {
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    char byte = 0;
    stream.seekg(static_cast<std::streamoff>(offset)).get(byte);
    stream.seekp(static_cast<std::streamoff>(offset)).put(static_cast<char>(byte ^ 4));
    ASSERT_TRUE(stream.good());
  }
};

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
  EXPECT_EQ(ReadChecked(*file, 1, UINT64_MAX - 5, 4), 0U);
  EXPECT_TRUE(file->Present(0, 200_KiB));
}

TEST_F(BlockFileTest, YieldsItToALaterProcess) {
  OpenCache()->File(KeyOf("/a", 1_MiB))->Commit({});
  {
    auto cache = OpenCache();
    Store(*cache->File(KeyOf("/a", 1_MiB)), 1, 0, 1_MiB);
  }
  auto cache = OpenCache();
  EXPECT_EQ(ReadChecked(*cache->File(KeyOf("/a", 1_MiB)), 1, 0, 1_MiB), 1_MiB);
  EXPECT_EQ(ReadChecked(*cache->File(KeyOf("/b", 1_MiB)), 1, 0, 1_MiB), 0U);
  EXPECT_EQ(ReadChecked(*cache->File(KeyOf("/a", 1_MiB, 5)), 1, 0, 1_MiB), 0U) << "another version";
  EXPECT_EQ(ReadChecked(*cache->File(KeyOf("/a", 1_MiB + 1)), 1, 0, 1_MiB), 0U) << "another version";
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

TEST_F(BlockFileTest, StagesWholeGranulesOnly) {
  auto cache = OpenCache();
  auto file = cache->File(KeyOf("/a", 200_KiB + 1));
  Store(*file, 1, 10, 100_KiB);  // granules 1 and 2 are whole in it
  EXPECT_EQ(ReadChecked(*file, 1, 0, 200_KiB), 0U);
  EXPECT_EQ(ReadChecked(*file, 1, 32_KiB, 200_KiB), 64_KiB);
  EXPECT_TRUE(file->Stage(160_KiB, TrueBytes(1, 160_KiB, 31_KiB)).empty());
  Store(*file, 1, 192_KiB, 100_KiB);  // the last one, and bytes that are not in the file
  EXPECT_EQ(ReadChecked(*file, 1, 192_KiB, 100_KiB), 8_KiB + 1);
}

TEST_F(BlockFileTest, StagesOnlyWhatIsAbsent) {
  auto cache = OpenCache();
  auto file = cache->File(KeyOf("/a", 1_MiB));
  Store(*file, 1, 64_KiB, 64_KiB);
  file->Commit(file->Stage(0, TrueBytes(2, 0, 256_KiB)));
  EXPECT_EQ(ReadChecked(*file, 2, 0, 64_KiB), 64_KiB);
  EXPECT_EQ(ReadChecked(*file, 1, 64_KiB, 64_KiB), 64_KiB);
  EXPECT_EQ(ReadChecked(*file, 2, 128_KiB, 1_MiB), 128_KiB);
}

TEST_F(BlockFileTest, TellsTheEndOfWhatIsPresent) {
  auto cache = OpenCache();
  const std::uint64_t size = 2 * kExtentBytes + 10;
  auto file = cache->File(KeyOf("/a", size));
  Store(*file, 1, 0, kExtentBytes + 64_KiB);
  EXPECT_EQ(file->PresentEnd(0, size), kExtentBytes + 64_KiB);
  EXPECT_EQ(file->PresentEnd(5, 10), 10U);
  EXPECT_EQ(file->PresentEnd(kExtentBytes + 64_KiB, size), kExtentBytes + 64_KiB);
  EXPECT_EQ(file->PresentEnd(kExtentBytes + 64_KiB + 5, size), kExtentBytes + 64_KiB + 5);
  EXPECT_TRUE(file->Present(kExtentBytes, 64_KiB));
  EXPECT_FALSE(file->Present(kExtentBytes, 64_KiB + 1));
  EXPECT_EQ(file->PresentEnd(size, size + 5), size);
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

TEST_F(BlockFileTest, AFlippedBitCostsOneGranule) {
  auto cache = OpenCache();
  const BlockKey key = KeyOf("/a", 1_MiB);
  auto file = cache->File(key);
  Store(*file, 1, 0, 1_MiB);
  FlipBit(PathOf(key), BytesOffset(7) + 1234);
  EXPECT_EQ(ReadChecked(*file, 1, 0, 1_MiB), 7 * kGranule);
  EXPECT_EQ(ReadChecked(*file, 1, 8 * kGranule, 1_MiB), 1_MiB - 8 * kGranule);
  EXPECT_FALSE(file->Present(7 * kGranule, 1)) << "forgotten";
  EXPECT_EQ(cache->usage().bad_granules, 1U);
  Store(*file, 1, 7 * kGranule, kGranule);
  EXPECT_EQ(ReadChecked(*file, 1, 0, 1_MiB), 1_MiB);
  FlipBit(PathOf(key), ChecksumOffset(9));
  EXPECT_EQ(ReadChecked(*file, 1, 0, 1_MiB), 9 * kGranule);
}

TEST_F(BlockFileTest, BytesInAWrongPlaceDoNotVerify) {
  auto cache = OpenCache();
  const BlockKey key = KeyOf("/a", 1_MiB);
  const std::vector<std::byte> same(1_MiB, std::byte{7});
  auto file = cache->File(key);
  file->Commit(file->Stage(0, same));
  // Granule 3 with its checksum in the place of granule 5.
  std::fstream stream(PathOf(key), std::ios::in | std::ios::out | std::ios::binary);
  std::array<char, 8> checksum{};
  stream.seekg(static_cast<std::streamoff>(ChecksumOffset(3))).read(checksum.data(), 8);
  stream.seekp(static_cast<std::streamoff>(ChecksumOffset(5))).write(checksum.data(), 8);
  stream.close();
  std::vector<std::byte> out(1_MiB);
  EXPECT_EQ(file->Read(0, out), 5 * kGranule);
}

TEST_F(BlockFileTest, AFileWithABadHeaderIsMadeAnew) {
  const BlockKey key = KeyOf("/a", 1_MiB);
  for (const std::uint64_t offset : {kHeaderOffset, kHeaderOffset + 20, kHeaderOffset + 50, kHeaderOffset + 70}) {
    {
      auto cache = OpenCache();
      Store(*cache->File(key), 1, 0, 1_MiB);
    }
    FlipBit(PathOf(key), offset);
    auto cache = OpenCache();
    auto file = cache->File(key);
    EXPECT_EQ(ReadChecked(*file, 1, 0, 1_MiB), 0U);
    Store(*file, 1, 0, 1_MiB);
    EXPECT_EQ(ReadChecked(*file, 1, 0, 1_MiB), 1_MiB);
  }
}

TEST_F(BlockFileTest, AFileUnderAnothersNameIsNotHis) {
  const BlockKey a = KeyOf("/a", 1_MiB);
  const BlockKey b = KeyOf("/b", 1_MiB);
  {
    auto cache = OpenCache();
    Store(*cache->File(a), 1, 0, 1_MiB);
  }
  std::filesystem::rename(PathOf(a), PathOf(b));
  auto cache = OpenCache();
  EXPECT_EQ(ReadChecked(*cache->File(b), 2, 0, 1_MiB), 0U);
  Store(*cache->File(b), 2, 0, 1_MiB);
  EXPECT_EQ(ReadChecked(*cache->File(b), 2, 0, 1_MiB), 1_MiB);
}

TEST_F(BlockFileTest, AFileRemovedUnderItsUsersIsOnlyAMiss) {
  auto cache = OpenCache();
  const BlockKey key = KeyOf("/a", 1_MiB);
  auto file = cache->File(key);
  Store(*file, 1, 0, 512_KiB);
  auto pending = file->Stage(512_KiB, TrueBytes(1, 512_KiB, 512_KiB));
  std::filesystem::remove_all(PathOf(key).parent_path());
  file->Commit(std::move(pending));
  Store(*file, 1, 0, 64_KiB);
  EXPECT_EQ(ReadChecked(*file, 1, 0, 1_MiB), 64_KiB);
  EXPECT_EQ(GoodBytes(*OpenCache()->File(key), 1), 64_KiB);
}

TEST_F(BlockFileTest, TheCacheIsNobodyElsesToSee) {
  auto cache = OpenCache();
  const BlockKey key = KeyOf("/a", 1_MiB);
  Store(*cache->File(key), 1, 0, 1_MiB);
  struct stat status {};
  ASSERT_EQ(::stat(directory().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0700U);
  ASSERT_EQ(::stat(PathOf(key).parent_path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0700U);
  ASSERT_EQ(::stat(PathOf(key).c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
}

}  // namespace
}  // namespace bt
