#include "cache/read_ahead.h"

#include <gtest/gtest.h>

#include <vector>

#include "transport/base/units.h"

namespace bt {
namespace {

using Range = ReadAhead::Range;

constexpr std::uint64_t kLargest = 32_MiB;

TEST(ReadAhead, WantsNothingAfterASingleReadInTheMiddle) {
  ReadAhead ahead;
  EXPECT_TRUE(ahead.OnRead(10_MiB, 64_KiB, kLargest).range.empty());
  EXPECT_TRUE(ahead.OnRead(50_MiB, 64_KiB, kLargest).range.empty());
  EXPECT_TRUE(ahead.OnRead(30_MiB, 64_KiB, kLargest).range.empty());
}

TEST(ReadAhead, WantsAsMuchAgainAfterTheFirstReadOfAFile) {
  ReadAhead ahead;
  EXPECT_EQ(ahead.OnRead(0, 16_KiB, kLargest).range, (Range{16_KiB, 32_KiB}));
}

TEST(ReadAhead, WantsTwiceOfWhatWasConsumed) {
  ReadAhead ahead;
  ahead.OnRead(10_MiB, 128_KiB, kLargest);
  EXPECT_EQ(ahead.OnRead(10_MiB + 128_KiB, 128_KiB, kLargest).window, 512_KiB);
  EXPECT_EQ(ahead.OnRead(10_MiB + 256_KiB, 256_KiB, kLargest).range, (Range{10_MiB + 512_KiB, 10_MiB + 1536_KiB}));
}

TEST(ReadAhead, StaysWithinTheLargestWindow) {
  ReadAhead ahead;
  std::uint64_t at = 0;
  for (int i = 0; i < 1000; ++i) {
    const ReadAhead::Wish wish = ahead.OnRead(at, 128_KiB, 4_MiB);
    at += 128_KiB;
    ASSERT_LE(wish.range.end, at + 4_MiB);
  }
  EXPECT_EQ(ahead.OnRead(at, 128_KiB, 4_MiB).window, 4_MiB);
}

TEST(ReadAhead, LooksLessFarForWhatIsNear) {
  ReadAhead ahead;
  ahead.OnRead(0, 16_MiB, kLargest);
  ReadAhead::Wish wish = ahead.OnRead(16_MiB, 128_KiB, kLargest);
  const std::uint64_t next = 16_MiB + 128_KiB;
  EXPECT_EQ(wish.near, (Range{next, next + ReadAhead::kNear}));
  ahead.PlannedNear(wish.stream, 18_MiB);
  ahead.Planned(wish.stream, 30_MiB);
  wish = ahead.OnRead(next, 128_KiB, kLargest);
  EXPECT_EQ(wish.near, (Range{18_MiB, next + 128_KiB + ReadAhead::kNear}));
  EXPECT_EQ(wish.range.begin, 30_MiB);
}

TEST(ReadAhead, DoesNotWishTwiceForWhatIsPlanned) {
  ReadAhead ahead;
  ahead.OnRead(0, 1_MiB, kLargest);
  ReadAhead::Wish wish = ahead.OnRead(1_MiB, 1_MiB, kLargest);
  ahead.Planned(wish.stream, wish.range.end);
  const std::uint64_t planned = wish.range.end;
  wish = ahead.OnRead(2_MiB, 128_KiB, kLargest);
  EXPECT_EQ(wish.range.begin, planned);
}

TEST(ReadAhead, FollowsSeveralStreamsAtOnce) {
  ReadAhead ahead;
  const std::vector<std::uint64_t> starts{100_MiB, 200_MiB, 300_MiB, 400_MiB};
  for (std::uint64_t step = 0; step < 32; ++step) {
    for (const std::uint64_t start : starts) {
      const ReadAhead::Wish wish = ahead.OnRead(start + step * 128_KiB, 128_KiB, kLargest);
      EXPECT_EQ(wish.range.empty(), step == 0);
    }
  }
  EXPECT_EQ(ahead.running(), starts.size());
}

TEST(ReadAhead, TakesRequestsOfTheKernelThatOvertakeEachOther) {
  ReadAhead ahead;
  ahead.OnRead(0, 128_KiB, kLargest);
  ahead.OnRead(128_KiB, 128_KiB, kLargest);
  ahead.OnRead(384_KiB, 128_KiB, kLargest);
  EXPECT_EQ(ahead.OnRead(256_KiB, 128_KiB, kLargest).range.begin, 512_KiB);
  EXPECT_EQ(ahead.running(), 1U);
}

TEST(ReadAhead, ForgetsTheStreamThatWasUsedLongestAgo) {
  ReadAhead ahead;
  ahead.OnRead(1_GiB, 64_KiB, kLargest);
  for (std::uint64_t i = 1; i <= ReadAhead::kStreams; ++i) {
    ahead.OnRead(i * 10_GiB, 64_KiB, kLargest);
  }
  EXPECT_TRUE(ahead.OnRead(1_GiB + 64_KiB, 64_KiB, kLargest).range.empty());
}

TEST(ReadAhead, CountsAStreamThatWaitsWhileAnotherIsServed) {
  ReadAhead ahead;
  const auto read = [&ahead](std::uint64_t offset) { return ahead.OnRead(offset, 128_KiB, 1_MiB).stream; };
  ahead.Served(read(1_GiB));
  EXPECT_EQ(ahead.running(), 0U) << "that may have been all";
  const std::size_t waiting = read(1_GiB + 128_KiB);
  EXPECT_EQ(ahead.running(), 1U);
  for (std::uint64_t i = 0; i < 1000; ++i) {
    ahead.Served(read(i * 128_KiB));
  }
  EXPECT_EQ(ahead.running(), 2U);
  ahead.Served(waiting);
  EXPECT_EQ(ahead.running(), 1U) << "the other one has ended";
}

TEST(ReadAhead, WastesAtMostTwiceWhatWasRead) {
  ReadAhead ahead;
  std::uint64_t at = 0;
  std::uint64_t wanted = 0;
  while (at < 3_MiB) {
    wanted = std::max(wanted, ahead.OnRead(at, 64_KiB, kLargest).range.end);
    at += 64_KiB;
  }
  EXPECT_LE(wanted - at, 2 * at);
}

}  // namespace
}  // namespace bt
