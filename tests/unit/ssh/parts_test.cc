// The parts of the SSH folder that need no server.
#include <gtest/gtest.h>

#include <deque>
#include <string>

#include "tests/unit/ssh/collector.h"
#include "transport/ssh/doorbell.h"
#include "transport/ssh/errors.h"
#include "transport/ssh/outgoing_queue.h"
#include "transport/ssh/session_heap.h"
#include "transport/ssh/stream_buffer.h"

namespace bt::ssh {
namespace {

using test::Bytes;

// Hands out what it was given, then says "not now"; takes as much as it is told to.
class ScriptedStream final : public ByteStream {
 public:
  Result<std::size_t> Read(std::span<std::byte> out) override {
    ++reads;
    if (input.empty()) {
      return ended ? Result<std::size_t>(Error{Code::kDisconnected, "ended", "test"}) : std::size_t{0};
    }
    const std::size_t count = std::min(out.size(), input.size());
    std::copy_n(input.begin(), count, out.begin());
    input.erase(input.begin(), input.begin() + static_cast<std::ptrdiff_t>(count));
    return count;
  }
  Result<std::size_t> Write(std::span<const std::byte> bytes) override {
    const std::size_t count = std::min(room, bytes.size());
    room -= count;
    output += count;
    return count;
  }
  bool HasPending() const override { return false; }
  int fd() const override { return -1; }
  short poll_events(bool /*want_write*/) const override { return 0; }
  void Abort() override {}

  std::vector<std::byte> input;
  bool ended = false;
  int reads = 0;
  std::size_t room = 0;
  std::size_t output = 0;
};

TEST(StreamBuffer, TakesNoMoreThanItsBudgetInOnePass) {
  ScriptedStream stream;
  stream.input.resize(4 * StreamBuffer::kReadBudget);
  Counters counters;
  StreamBuffer buffer(stream, counters);
  std::vector<std::byte> out(35000);
  std::size_t total = 0;
  buffer.BeginPass();
  for (ssize_t got = 0; (got = buffer.Receive(out.data(), out.size())) > 0;) {
    total += static_cast<std::size_t>(got);
  }
  EXPECT_EQ(total, StreamBuffer::kReadBudget);
  EXPECT_TRUE(buffer.moved());
}

TEST(StreamBuffer, AsksADryStreamOnlyOncePerPass) {
  ScriptedStream stream;
  Counters counters;
  StreamBuffer buffer(stream, counters);
  std::byte out{};
  buffer.BeginPass();
  EXPECT_EQ(buffer.Receive(&out, 1), -EAGAIN);
  EXPECT_EQ(buffer.Receive(&out, 1), -EAGAIN);
  EXPECT_EQ(stream.reads, 1);
  EXPECT_FALSE(buffer.moved());
}

TEST(StreamBuffer, GivesOutWhatCameBeforeTheEnd) {
  ScriptedStream stream;
  stream.input = Bytes("last words");
  stream.ended = true;
  Counters counters;
  StreamBuffer buffer(stream, counters);
  std::vector<std::byte> out(100);
  buffer.BeginPass();
  EXPECT_EQ(buffer.Receive(out.data(), out.size()), 10);
  EXPECT_EQ(buffer.Receive(out.data(), out.size()), -EAGAIN);
  EXPECT_TRUE(buffer.failure().has_value());
}

TEST(StreamBuffer, AlwaysAcceptsAndKeepsCount) {
  ScriptedStream stream;
  Counters counters;
  StreamBuffer buffer(stream, counters);
  const std::vector<std::byte> packet(32768);
  while (!buffer.congested()) {
    EXPECT_EQ(buffer.Send(packet.data(), packet.size()), 32768);
  }
  EXPECT_EQ(buffer.Send(packet.data(), packet.size()), 32768);
  buffer.BeginPass();
  buffer.Flush();
  EXPECT_FALSE(buffer.moved());
  stream.room = 600000;
  buffer.Flush();
  EXPECT_TRUE(buffer.moved()) << "room was made";
  stream.room = 100000000;
  buffer.Flush();
  EXPECT_FALSE(buffer.wants_write());
  EXPECT_EQ(stream.output, counters.bytes_out.load());
  EXPECT_EQ(stream.output % 32768, 0U);
}

TEST(StreamBuffer, FailsWithoutWaitingOnceKilled) {
  ScriptedStream stream;
  Counters counters;
  StreamBuffer buffer(stream, counters);
  buffer.Kill();
  std::byte byte{};
  EXPECT_EQ(buffer.Receive(&byte, 1), -EPIPE);
  EXPECT_EQ(buffer.Send(&byte, 1), -EPIPE);
}

std::string Drain(OutgoingQueue& queue, std::size_t most) {
  std::string out;
  for (auto piece = queue.Next(); !piece.empty(); piece = queue.Next()) {
    const std::size_t count = std::min(most, piece.size());
    out.append(reinterpret_cast<const char*>(piece.data()), count);
    queue.Advance(count);
  }
  return out;
}

TEST(OutgoingQueue, KeepsTheOrderOfLargeAndSmallMessages) {
  for (const std::size_t most : {1UL, 7UL, 32700UL}) {
    OutgoingQueue queue;
    std::string expected;
    std::uint64_t messages = 0;
    for (const std::size_t size :
         {5UL, 8192UL, 1UL, 40000UL, 3UL, 4UL, 8191UL, 8191UL, 8191UL, 8191UL, 2UL, 100000UL}) {
      const std::string text(size, static_cast<char>('a' + messages));
      expected += text;
      queue.Push(Bytes(text));
      ++messages;
    }
    EXPECT_EQ(Drain(queue, most), expected);
    EXPECT_EQ(queue.started(), messages);
    EXPECT_TRUE(queue.Next().empty());
  }
}

TEST(OutgoingQueue, GathersSmallMessagesIntoOnePiece) {
  OutgoingQueue queue;
  queue.Push(Bytes("one"));
  queue.Push(Bytes("two"));
  queue.Push(std::vector<std::byte>(50000));
  EXPECT_EQ(queue.started(), 0U);
  EXPECT_EQ(queue.Next().size(), 6U);
  EXPECT_EQ(queue.started(), 2U);
}

TEST(OutgoingQueue, HandsOutTheSameBytesUntilAdvanced) {
  OutgoingQueue queue;
  queue.Push(Bytes("one"));
  const auto first = queue.Next();
  queue.Push(Bytes("two"));
  EXPECT_EQ(queue.Next().data(), first.data());
  EXPECT_EQ(queue.Next().size(), first.size());
  queue.Advance(3);
  EXPECT_EQ(queue.Next().size(), 3U);
}

TEST(SessionHeap, RefusesAboveItsLimitAndSurvivesDoubleFrees) {
  SessionHeap heap(10000);
  void* one = heap.Allocate(4000);
  void* two = heap.Allocate(4000);
  ASSERT_NE(one, nullptr);
  ASSERT_NE(two, nullptr);
  EXPECT_EQ(heap.Allocate(4000), nullptr);
  EXPECT_TRUE(heap.exhausted());
  heap.Free(one);
  heap.Free(one);
  heap.Free(nullptr);
  void* three = heap.Reallocate(nullptr, 1000);
  three = heap.Reallocate(three, 2000);
  EXPECT_NE(three, nullptr);
}

TEST(Doorbell, RingsOnlyASleeper) {
  Doorbell bell;
  ASSERT_TRUE(bell.ok());
  bell.Ring();
  EXPECT_FALSE(bell.FallAsleep()) << "it rang while awake";
  bell.Awake(false);
  EXPECT_TRUE(bell.FallAsleep());
}

TEST(Printable, KeepsOneHarmlessLine) {
  EXPECT_EQ(Printable("two\r\nlines\x1b[31m \xff"), "two lines [31m");
  EXPECT_EQ(Printable(std::string(500, 'x')).size(), 203U);
}

}  // namespace
}  // namespace bt::ssh
