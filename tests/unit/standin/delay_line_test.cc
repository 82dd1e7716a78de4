#include "tests/support/standin/delay_line.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>

namespace bt::standin {
namespace {

using namespace std::chrono_literals;

class DelayLineTest : public testing::Test {
 protected:
  void Push(std::string_view text) { line_.Push(std::as_bytes(std::span(text)), now_); }
  std::string Take() {
    std::string text;
    for (auto bytes = line_.Arrived(now_); !bytes.empty(); bytes = line_.Arrived(now_)) {
      text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      line_.Consume(bytes.size(), now_);
    }
    return text;
  }

  LinkDirection direction_;
  SegmentPool pool_;
  DelayLine line_{direction_, pool_};
  TimePoint now_ = TimePoint{} + 1h;
};

TEST_F(DelayLineTest, PassesBytesAtOnceWithoutDelay) {
  Push("abc");
  EXPECT_EQ(Take(), "abc");
  EXPECT_EQ(direction_.bytes, 3U);
}

TEST_F(DelayLineTest, BytesArriveAfterTheDelayAndNotBefore) {
  direction_.delay = 20ms;
  Push("abc");
  now_ += 5ms;
  Push("def");
  EXPECT_EQ(line_.NextEvent(), now_ + 15ms);
  now_ += 15ms - 1ns;
  EXPECT_EQ(Take(), "");
  now_ += 1ns;
  EXPECT_EQ(Take(), "abc");
  now_ += 5ms;
  EXPECT_EQ(Take(), "def");
}

TEST_F(DelayLineTest, DoesNotReorderWhenTheDelayShrinks) {
  direction_.delay = 20ms;
  Push("first");
  direction_.delay = 0ms;
  Push("second");
  EXPECT_EQ(Take(), "");
  now_ += 20ms;
  EXPECT_EQ(Take(), "firstsecond");
}

TEST_F(DelayLineTest, TheEndArrivesBehindTheLastByte) {
  direction_.delay = 20ms;
  Push("abc");
  line_.End(now_);
  EXPECT_FALSE(line_.Ended(now_));
  now_ += 20ms;
  EXPECT_FALSE(line_.Ended(now_));
  EXPECT_EQ(Take(), "abc");
  EXPECT_TRUE(line_.Ended(now_));
}

TEST_F(DelayLineTest, WindowOpensARoundTripAfterItFilled) {
  direction_.delay = 20ms;
  direction_.window = 1000;
  EXPECT_EQ(line_.Room(now_), 1000U);
  Push(std::string(1000, 'x'));
  EXPECT_EQ(line_.Room(now_), 0U);
  now_ += 20ms;
  EXPECT_EQ(Take().size(), 1000U);
  EXPECT_EQ(line_.Room(now_), 0U);
  EXPECT_EQ(line_.NextEvent(), now_ + 20ms);
  now_ += 20ms;
  EXPECT_EQ(line_.Room(now_), 1000U);
}

TEST_F(DelayLineTest, RateSpreadsBytesOverTime) {
  direction_.bytes_per_second = 1'000'000;
  const TimePoint start = now_;
  std::size_t sent = 0;
  while (sent < 500'000) {
    const std::size_t room = line_.Room(now_);
    if (room == 0) {
      ASSERT_GT(line_.NextEvent(), now_);
      now_ = line_.NextEvent();
      continue;
    }
    Push(std::string(room, 'x'));
    sent += room;
  }
  EXPECT_GE(now_ - start, 490ms);
  EXPECT_LE(now_ - start, 510ms);
}

TEST_F(DelayLineTest, LetsExactlyAsManyBytesArriveAsBeforeACut) {
  direction_.cut_after = 4;
  Push("abcdef");
  EXPECT_EQ(Take(), "abcd");
  EXPECT_EQ(direction_.cut_after, 0);
}

TEST_F(DelayLineTest, KeepsBytesInOrderOverManySegments) {
  direction_.delay = 1ms;
  std::string sent;
  std::string received;
  unsigned step = 1;
  while (sent.size() < 3 * SegmentPool::kSegmentBytes) {
    step = step * 1103515245U + 12345U;
    std::string piece(step % 70000U, '\0');
    std::generate(piece.begin(), piece.end(),
                  [&step] { return static_cast<char>((step = step * 69069U + 1U) >> 24U); });
    Push(piece);
    sent += piece;
    now_ += 400us;
    received += Take();
  }
  now_ += 1ms;
  received += Take();
  EXPECT_TRUE(sent == received);
}

}  // namespace
}  // namespace bt::standin
