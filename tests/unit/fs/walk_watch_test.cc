#include "fs/walk_watch.h"

#include <gtest/gtest.h>

namespace bt {
namespace {

using std::chrono::milliseconds;
using Look = WalkWatch::Look;

class Walk : public testing::Test {
 protected:
  bool Open(std::uint64_t directory, std::uint64_t parent, int ms) {
    return walk_.Visited(InodeNo{directory}, InodeNo{parent}, Look::kOpened, start_ + milliseconds(ms));
  }
  bool LookUp(std::uint64_t directory, std::uint64_t parent, int ms) {
    return walk_.Visited(InodeNo{directory}, InodeNo{parent}, Look::kLookedUp, start_ + milliseconds(ms));
  }
  bool Alive(int ms) const { return walk_.alive(start_ + milliseconds(ms)); }

  WalkWatch walk_;
  const TimePoint start_ = Clock::now();
};

TEST_F(Walk, BeginsWithTheSecondDirectoryOpened) {
  EXPECT_FALSE(walk_.Visited(kRootInode, std::nullopt, Look::kOpened, start_));
  EXPECT_FALSE(Alive(0));
  EXPECT_TRUE(Open(2, 1, 100));
  EXPECT_TRUE(Alive(100));
  EXPECT_GE(walk_.window(), 64U);
}

TEST_F(Walk, BeginsWithASiblingOpened) {
  EXPECT_FALSE(Open(2, 1, 0));
  EXPECT_TRUE(Open(3, 1, 100));
}

TEST_F(Walk, OneDirectoryOpenedAgainAndAgainIsNone) {
  EXPECT_FALSE(Open(2, 1, 0));
  EXPECT_FALSE(Open(2, 1, 100));
  EXPECT_FALSE(Open(2, 1, 200));
}

TEST_F(Walk, APersonClickingFromFolderToFolderIsNone) {
  EXPECT_FALSE(Open(2, 1, 0));
  EXPECT_FALSE(Open(3, 1, 3000));
  EXPECT_FALSE(Open(4, 3, 6000));
}

TEST_F(Walk, ThePartsOfOnePathAreNone) {
  EXPECT_FALSE(walk_.Visited(kRootInode, std::nullopt, Look::kLookedUp, start_));
  EXPECT_FALSE(LookUp(2, 1, 1));
  EXPECT_FALSE(LookUp(3, 2, 2));
  EXPECT_FALSE(LookUp(4, 3, 3));
}

TEST_F(Walk, LookingIntoSiblingsIsACautiousOne) {
  EXPECT_FALSE(LookUp(2, 1, 0));
  EXPECT_TRUE(LookUp(3, 1, 10));
  EXPECT_LE(walk_.window(), 16U);
  EXPECT_GE(walk_.window(), 8U);
}

TEST_F(Walk, EndsWhenNoStepFollows) {
  Open(2, 1, 0);
  Open(3, 1, 10);
  EXPECT_TRUE(Alive(1900));
  EXPECT_FALSE(Alive(2100));
}

TEST_F(Walk, LooksFartherAheadTheMoreOfItIsUsedAndLessWhenItIsWasted) {
  Open(2, 1, 0);
  Open(3, 1, 10);
  const std::size_t first = walk_.window();
  walk_.Outcome(10, 0);
  EXPECT_EQ(walk_.window(), first + 80);
  walk_.Outcome(10, 5);
  EXPECT_EQ(walk_.window(), (first + 80) / 2);
  walk_.Outcome(100'000, 5);
  EXPECT_EQ(walk_.window(), 4096U);
}

}  // namespace
}  // namespace bt
