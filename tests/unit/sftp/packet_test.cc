#include "transport/sftp/packet.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <string>

#include "transport/sftp/message_splitter.h"

namespace bt::sftp {
namespace {

std::span<const std::byte> Payload(const std::vector<std::byte>& message) { return std::span(message).subspan(5); }

TEST(Packet, FieldsComeBackAsTheyWereWritten) {
  const std::vector<std::byte> message = PacketWriter(MessageType::kStat, 0)
                                             .U32(0xfedcba98U)
                                             .U64(0x0123456789abcdefULL)
                                             .String(std::string("a\0b/\xff", 5))
                                             .Take();
  EXPECT_EQ(LoadU32(message.data()), message.size() - 4);
  PacketReader reader(Payload(message));
  EXPECT_EQ(reader.U32(), 0xfedcba98U);
  EXPECT_EQ(reader.U64(), 0x0123456789abcdefULL);
  EXPECT_EQ(reader.String(), std::string_view("a\0b/\xff", 5));
  EXPECT_TRUE(reader.ok());
  EXPECT_EQ(reader.remaining(), 0U);
}

TEST(Packet, AttributesComeBackAsTheyWereWritten) {
  AttributeChange change;
  change.size = 5ULL << 32U;
  change.owner = AttributeChange::Owner{1000, 4294967295U};
  change.permissions = 0100755;
  change.times = AttributeChange::Times{1, 4294967295};
  const std::vector<std::byte> message = PacketWriter(MessageType::kAttrs, 0).Change(change).Take();
  PacketReader reader(Payload(message));
  const WireAttributes read = reader.ReadAttributes();
  ASSERT_TRUE(reader.ok());
  EXPECT_TRUE(read.has_size());
  EXPECT_TRUE(read.has_permissions());
  EXPECT_EQ(read.values, (Attributes{5ULL << 32U, 1000, 4294967295U, 0100755, 1, 4294967295}));
}

TEST(Packet, AttributesThatAreLeftOutAreZeroAndSaidToBeMissing) {
  const std::vector<std::byte> message = PacketWriter(MessageType::kAttrs, 0).NoAttributes().Take();
  PacketReader reader(Payload(message));
  const WireAttributes read = reader.ReadAttributes();
  ASSERT_TRUE(reader.ok());
  EXPECT_FALSE(read.has_size());
  EXPECT_FALSE(read.has_permissions());
  EXPECT_EQ(read.values, Attributes{});
}

TEST(Packet, ExtendedAttributesAreSkipped) {
  const std::vector<std::byte> message = PacketWriter(MessageType::kAttrs, 0)
                                             .U32(kAttrSize | kAttrExtended)
                                             .U64(7)
                                             .U32(2)
                                             .String("a@b")
                                             .String("c")
                                             .String("")
                                             .String("")
                                             .U32(42)
                                             .Take();
  PacketReader reader(Payload(message));
  EXPECT_EQ(reader.ReadAttributes().values.size, 7U);
  EXPECT_EQ(reader.U32(), 42U);
  EXPECT_TRUE(reader.ok());
}

TEST(Packet, ACountOfExtendedAttributesThatThePacketCannotHoldEndsAtItsLastByte) {
  const std::vector<std::byte> message =
      PacketWriter(MessageType::kAttrs, 0).U32(kAttrExtended).U32(0xffffffffU).String("a").Take();
  PacketReader reader(Payload(message));
  reader.ReadAttributes();
  EXPECT_FALSE(reader.ok());
}

TEST(Packet, AFieldBeyondTheEndFailsAndEverythingAfterItReadsAsEmpty) {
  const std::vector<std::byte> message = PacketWriter(MessageType::kData, 0).U32(1000).U32(7).Take();
  PacketReader reader(Payload(message));
  EXPECT_TRUE(reader.String().empty());  // claims 1000 bytes
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.U32(), 0U);
  EXPECT_EQ(reader.U64(), 0U);
  EXPECT_EQ(reader.U8(), 0U);
  EXPECT_FALSE(reader.ok());
}

class Splitter : public testing::Test {
 protected:
  std::vector<UninitializedBytes> messages_;
  MessageSplitter splitter_{[this](UninitializedBytes message) {
    messages_.push_back(std::move(message));
    return Status();
  }};
};

TEST_F(Splitter, FindsMessagesHoweverTheBytesAreCut) {
  std::vector<std::byte> stream;
  for (const std::size_t size : {0U, 1U, 3U, 1000U, 200000U}) {
    const std::vector<std::byte> message =
        PacketWriter(MessageType::kData, 0).String(std::string(size, static_cast<char>('a' + size % 7))).Take();
    stream.insert(stream.end(), message.begin(), message.end());
  }
  for (const std::size_t piece : {1UL, 2UL, 3UL, 5UL, 4096UL, stream.size()}) {
    messages_.clear();
    for (std::size_t at = 0; at < stream.size(); at += piece) {
      ASSERT_TRUE(splitter_.Feed(std::span(stream).subspan(at, std::min(piece, stream.size() - at))).ok());
    }
    ASSERT_EQ(messages_.size(), 5U);
    EXPECT_FALSE(splitter_.mid_message());
    EXPECT_EQ(messages_[4].size(), 200005U);
    EXPECT_EQ(messages_[4].back(), static_cast<std::byte>('a' + 200000 % 7));
  }
}

TEST_F(Splitter, TakesBytesThatWerePutWhereItWantsThem) {
  std::vector<std::byte> stream;
  constexpr std::array<std::size_t, 5> kSizes{0, 3, 5000, 200000, 10};
  for (const std::size_t size : kSizes) {
    const std::vector<std::byte> message =
        PacketWriter(MessageType::kData, 0).String(std::string(size, static_cast<char>('a' + size % 7))).Take();
    stream.insert(stream.end(), message.begin(), message.end());
  }
  std::size_t largest = 0;
  for (std::size_t at = 0; at < stream.size();) {
    const std::span<std::byte> room = splitter_.Room();
    ASSERT_FALSE(room.empty());
    largest = std::max(largest, room.size());
    // Now and then from elsewhere, and not all that there is room for.
    const std::size_t count =
        std::min({room.size(), stream.size() - at, at % 3 == 0 ? std::size_t{70001} : room.size()});
    const auto piece = std::span(stream).subspan(at, count);
    if (at % 5 == 0) {
      ASSERT_TRUE(splitter_.Feed(piece).ok());
    } else {
      std::ranges::copy(piece, room.begin());
      ASSERT_TRUE(splitter_.Feed(room.first(count)).ok());
    }
    at += count;
  }
  EXPECT_GT(largest, 150000U);  // the rest of the long message at once
  ASSERT_EQ(messages_.size(), kSizes.size());
  for (std::size_t i = 0; i < kSizes.size(); ++i) {
    const auto bytes = std::span(messages_.at(i)).subspan(5);
    ASSERT_EQ(bytes.size(), kSizes.at(i));
    EXPECT_TRUE(std::ranges::all_of(
        bytes, [&](std::byte byte) { return byte == static_cast<std::byte>('a' + kSizes.at(i) % 7); }));
  }
}

TEST_F(Splitter, RefusesALengthOfZero) {
  const std::vector<std::byte> bytes(8);
  const Status fed = splitter_.Feed(bytes);
  ASSERT_FALSE(fed.ok());
  EXPECT_EQ(fed.error().code, Code::kProtocol);
  EXPECT_EQ(fed.error().tag, "sftp.bad-length");
}

TEST_F(Splitter, RefusesALengthBeyondTheLimitBeforeItAllocates) {
  for (const std::uint32_t length : {static_cast<std::uint32_t>(kMaxReplyBytes + 1), 0x80000000U, 0xffffffffU}) {
    MessageSplitter splitter([](UninitializedBytes) { return Status(); });
    std::vector<std::byte> bytes(4);
    StoreU32(bytes.data(), length);
    const Status fed = splitter.Feed(bytes);
    ASSERT_FALSE(fed.ok());
    EXPECT_EQ(fed.error().tag, "sftp.bad-length");
  }
}

TEST_F(Splitter, TakesTheLargestMessage) {
  std::vector<std::byte> bytes(4 + kMaxReplyBytes);
  StoreU32(bytes.data(), static_cast<std::uint32_t>(kMaxReplyBytes));
  ASSERT_TRUE(splitter_.Feed(bytes).ok());
  ASSERT_EQ(messages_.size(), 1U);
  EXPECT_EQ(messages_[0].size(), kMaxReplyBytes);
}

TEST_F(Splitter, TellsTextOfAStartUpFileFromAProtocolError) {
  const std::string_view text = "Welcome!\n";
  const Status fed = splitter_.Feed(std::as_bytes(std::span(text)));
  ASSERT_FALSE(fed.ok());
  EXPECT_EQ(fed.error().tag, "sftp.bad-banner");
}

TEST_F(Splitter, StopsAtTheSinksError) {
  MessageSplitter splitter([](UninitializedBytes) -> Status { return Error{Code::kProtocol, "no", "test"}; });
  const std::vector<std::byte> message = PacketWriter(MessageType::kData, 0).Take();
  EXPECT_EQ(splitter.Feed(message).error().tag, "test");
}

}  // namespace
}  // namespace bt::sftp
