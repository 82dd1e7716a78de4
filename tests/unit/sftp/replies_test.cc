#include "transport/sftp/replies.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/fuzz/packet_harness.h"
#include "tests/support/sftp_pipe/fake_server_channel.h"
#include "transport/sftp/errors.h"
#include "transport/sftp/extensions.h"

namespace bt::sftp {
namespace {

using test::AttrsReply;
using test::HandleReply;
using test::NameReply;
using test::StatusReply;

Reply Received(const std::vector<std::byte>& message) {
  return Reply(UninitializedBytes(message.begin() + 4, message.end()));
}

Reply Received(PacketWriter& writer) { return Received(writer.Take()); }

TEST(Replies, StatusCodesBecomeCodesOnce) {
  const auto code = [](StatusCode status) { return DecodeStatus(Received(StatusReply(1, status))).error().code; };
  EXPECT_TRUE(DecodeStatus(Received(StatusReply(1, StatusCode::kOk))).ok());
  EXPECT_EQ(code(StatusCode::kNoSuchFile), Code::kNotFound);
  EXPECT_EQ(code(StatusCode::kPermissionDenied), Code::kPermissionDenied);
  EXPECT_EQ(code(StatusCode::kFailure), Code::kFailure);
  EXPECT_EQ(code(StatusCode::kBadMessage), Code::kInvalid);
  EXPECT_EQ(code(StatusCode::kOpUnsupported), Code::kUnsupported);
  EXPECT_EQ(code(StatusCode::kEof), Code::kFailure);
  EXPECT_EQ(code(static_cast<StatusCode>(4711)), Code::kFailure);
}

TEST(Replies, AServersTextIsKeptButMadeHarmless) {
  const Status status = DecodeStatus(Received(StatusReply(1, StatusCode::kFailure, "bad\n\x1b[2Jday")));
  EXPECT_NE(status.error().text.find("bad??[2Jday"), std::string::npos) << status.error().text;
  const Status long_one = DecodeStatus(Received(StatusReply(1, StatusCode::kFailure, std::string(100000, 'x'))));
  EXPECT_LT(long_one.error().text.size(), 300U);
}

TEST(Replies, AStatusMayEndBehindItsCode) {
  EXPECT_TRUE(DecodeStatus(Received(PacketWriter(MessageType::kStatus, 0).U32(1).U32(0))).ok());
  EXPECT_EQ(DecodeStatus(Received(PacketWriter(MessageType::kStatus, 0).U32(1))).error().code, Code::kProtocol);
}

TEST(Replies, SuccessWithoutTheAnswerIsMalformed) {
  const Reply ok = Received(StatusReply(1, StatusCode::kOk));
  EXPECT_EQ(DecodeHandle(ok).error().code, Code::kProtocol);
  EXPECT_EQ(DecodeAttributes(ok).error().code, Code::kProtocol);
  EXPECT_EQ(DecodeData(ok).error().code, Code::kProtocol);
  EXPECT_EQ(DecodeNames(ok).error().code, Code::kProtocol);
  EXPECT_EQ(DecodeStatvfs(ok).error().code, Code::kProtocol);
  EXPECT_EQ(DecodeLimits(ok).error().code, Code::kProtocol);
}

TEST(Replies, AMalformedReplyLeavesTheFateOfTheRequestUnknown) {
  EXPECT_EQ(DecodeHandle(Received(AttrsReply(1, 0))).error().fate, Fate::kUnknown);
}

TEST(Replies, HandlesAreBounded) {
  EXPECT_EQ(*DecodeHandle(Received(HandleReply(1, std::string(256, 'h')))), std::string(256, 'h'));
  EXPECT_EQ(DecodeHandle(Received(HandleReply(1, std::string(257, 'h')))).error().code, Code::kProtocol);
}

TEST(Replies, OnlyStatusEofSaysThatAFileOrListingEnded) {
  const Reply eof = Received(StatusReply(1, StatusCode::kEof));
  EXPECT_TRUE(DecodeData(eof)->end_of_file);
  EXPECT_TRUE(DecodeNames(eof)->end_of_directory);
  EXPECT_EQ(DecodeData(Received(StatusReply(1, StatusCode::kFailure))).error().code, Code::kFailure);
  EXPECT_FALSE(DecodeNames(Received(NameReply(1, {})))->end_of_directory);
}

TEST(Replies, ANameCountBeyondThePacketIsMalformed) {
  EXPECT_EQ(DecodeNames(Received(NameReply(1, {{"a"}}, 2))).error().code, Code::kProtocol);
  EXPECT_EQ(DecodeNames(Received(NameReply(1, {{"a"}}, 0xffffffffU))).error().code, Code::kProtocol);
  EXPECT_EQ(DecodeNames(Received(NameReply(1, {{"a"}, {"b"}}, 1)))->entries.size(), 1U);
}

TEST(Replies, OneNameIsExactlyOne) {
  EXPECT_EQ(*DecodeOneName(Received(NameReply(1, {{"/a/b"}}))), "/a/b");
  EXPECT_EQ(DecodeOneName(Received(NameReply(1, {}))).error().code, Code::kProtocol);
  EXPECT_EQ(DecodeOneName(Received(NameReply(1, {{"a"}, {"b"}}))).error().code, Code::kProtocol);
  EXPECT_EQ(DecodeOneName(Received(StatusReply(1, StatusCode::kEof))).error().code, Code::kFailure);
}

TEST(Replies, TruncatedAttributesAreMalformed) {
  std::vector<std::byte> message = AttrsReply(1, 5);
  for (std::size_t size = Reply::kHeaderBytes; size < message.size() - 4; ++size) {
    const Reply reply(UninitializedBytes(message.begin() + 4, message.begin() + 4 + static_cast<long>(size)));
    EXPECT_EQ(DecodeAttributes(reply).error().code, Code::kProtocol) << size;
  }
}

TEST(Extensions, CountOnlyInTheVersionThatIsSpoken) {
  VersionMessage version{3, {{"posix-rename@openssh.com", "1"}, {"statvfs@openssh.com", "1"}, {"made-up", "9"}}};
  ServerFeatures features = ParseExtensions(version);
  EXPECT_TRUE(features.posix_rename);
  EXPECT_FALSE(features.statvfs);
  EXPECT_EQ(features.max_read, 32768U);
  version.extensions.emplace_back("statvfs@openssh.com", "2");
  EXPECT_TRUE(ParseExtensions(version).capabilities().statvfs);
}

TEST(Extensions, LimitsAreTakenWithinWhatIsSane) {
  const auto sizes = [](LimitsReply limits) {
    ServerFeatures features;
    ApplyLimits(limits, features);
    return std::pair(features.max_read, features.max_write);
  };
  EXPECT_EQ(sizes({262144, 261120, 261120, 1019}), (std::pair<std::size_t, std::size_t>(261120, 261120)));
  EXPECT_EQ(sizes({0, 0, 0, 0}), (std::pair<std::size_t, std::size_t>(32768, 32768)));
  EXPECT_EQ(sizes({0, 1, UINT64_MAX, 0}), (std::pair<std::size_t, std::size_t>(4096, 261120)));
  EXPECT_EQ(sizes({34000, 65536, 65536, 0}), (std::pair<std::size_t, std::size_t>(32976, 32976)));
}

TEST(Corpus, EverySeedGoesThroughTheCodec) {
  std::size_t seeds = 0;
  std::size_t messages = 0;
  for (const auto& seed : std::filesystem::directory_iterator(BT_CORPUS "/packet")) {
    SCOPED_TRACE(seed.path().filename());
    std::ifstream file(seed.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    messages += fuzz::FeedServerBytes(std::as_bytes(std::span(bytes)));
    ++seeds;
  }
  EXPECT_GE(seeds, 30U);
  EXPECT_GE(messages, 30U);
}

}  // namespace
}  // namespace bt::sftp
