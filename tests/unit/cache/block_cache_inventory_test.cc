#include "cache/block_cache_inventory.h"

#include <fstream>

#include "tests/unit/cache/cache_fixture.h"

namespace bt {
namespace {

class InventoryTest : public CacheTest {
 protected:
  void SetUp() override {
    cache_ = OpenCache();
    other_.workspace = "model-m1-d1";
    Store(*cache_->File(a_), 1, 0, 5_MiB);
    Store(*cache_->File(b_), 2, 1_MiB, 64_KiB);
    Store(*cache_->File(other_), 3, 0, 1_MiB);
  }

  std::unique_ptr<BlockCache> cache_;
  BlockKey a_ = KeyOf("/runs/a", 5_MiB);
  BlockKey b_ = KeyOf("/runs/b", 2_MiB);
  BlockKey other_ = KeyOf("/runs/a", 1_MiB);
};

TEST_F(InventoryTest, ListsWhatIsCached) {
  const auto listing = ListBlockCache(directory(), {});
  ASSERT_EQ(listing.versions.size(), 3U);
  EXPECT_EQ(listing.versions[0].key, other_);
  EXPECT_EQ(listing.versions[1].key, a_);
  EXPECT_EQ(listing.versions[1].cached_bytes, 5_MiB);
  EXPECT_GE(listing.versions[1].disk_bytes, 5_MiB);
  EXPECT_EQ(listing.versions[2].key, b_);
  EXPECT_EQ(listing.versions[2].cached_bytes, 64_KiB);
  EXPECT_GT(listing.versions[2].last_use, 1'600'000'000);
  EXPECT_EQ(ListBlockCache(directory(), {.workspace = "model-m1-d1", .below = {}}).versions.size(), 1U);
  EXPECT_EQ(ListBlockCache(directory(), {.workspace = {}, .below = a_.path}).versions.size(), 2U);
  EXPECT_EQ(ListBlockCache(directory(), {.workspace = {}, .below = a_.path.parent()}).versions.size(), 3U);
  EXPECT_EQ(ListBlockCache(directory() / "none", {}).versions.size(), 0U);
}

TEST_F(InventoryTest, VerifyNamesAndForgetsWhatIsBad) {
  EXPECT_TRUE(VerifyBlockCache(directory(), {}).bad.empty());
  std::fstream(PathOf(a_), std::ios::in | std::ios::out | std::ios::binary)
      .seekp(static_cast<std::streamoff>(BytesOffset(130) + 5))
      .put('!');
  std::ofstream(PathOf(b_)) << "not a block file at all";
  const auto verdict = VerifyBlockCache(directory(), {});
  ASSERT_EQ(verdict.bad.size(), 1U);
  EXPECT_EQ(verdict.bad[0].key, a_);
  EXPECT_EQ(verdict.bad[0].offset, 130 * kGranule);
  EXPECT_EQ(verdict.unreadable, 1U);
  EXPECT_EQ(verdict.bytes, 6_MiB - kGranule);
  const auto again = VerifyBlockCache(directory(), {});
  EXPECT_TRUE(again.bad.empty());
  EXPECT_EQ(again.unreadable, 0U);
  EXPECT_EQ(GoodBytes(*cache_->File(a_), 1), 5_MiB - kGranule);
}

TEST_F(InventoryTest, ClearsWhatIsAskedFor) {
  EXPECT_EQ(ClearBlockCache(directory(), {.workspace = "none", .below = {}}).files, 0U);
  EXPECT_EQ(ClearBlockCache(directory(), {.workspace = a_.workspace, .below = b_.path}).files, 1U);
  auto a = cache_->File(a_);
  EXPECT_EQ(GoodBytes(*a, 1), 5_MiB);
  EXPECT_EQ(ClearBlockCache(directory(), {.workspace = a_.workspace, .below = {}}).files, 1U);
  EXPECT_EQ(GoodBytes(*a, 1), 0U) << "a mount that had it open has nothing any more";
  const auto cleared = ClearBlockCache(directory(), {});
  EXPECT_EQ(cleared.files, 1U);
  EXPECT_GE(cleared.disk_bytes, 1_MiB);
  EXPECT_TRUE(Files().empty());
  Store(*a, 1, 0, 5_MiB);
  EXPECT_EQ(GoodBytes(*a, 1), 5_MiB) << "and goes on filling";
}

}  // namespace
}  // namespace bt
