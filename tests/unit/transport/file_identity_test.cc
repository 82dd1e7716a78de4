#include "transport/file_identity.h"

#include <gtest/gtest.h>

#include <string_view>

namespace bt {
namespace {

using Kind = FileIdentity::Verdict::Kind;

Attributes RegularFile(std::uint64_t size, std::int64_t mtime) {
  Attributes attributes;
  attributes.mode = S_IFREG | 0644;
  attributes.size = size;
  attributes.mtime = mtime;
  return attributes;
}

std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

TEST(FileIdentity, UnchangedSizeAndTimeIsTheSame) {
  const FileIdentity identity(RegularFile(100, 5));
  EXPECT_EQ(identity.Judge(RegularFile(100, 5)).kind, Kind::kSame);
}

TEST(FileIdentity, ChangedFileWithNothingToCompareIsDifferent) {
  const FileIdentity identity(RegularFile(100, 5));
  EXPECT_EQ(identity.Judge(RegularFile(200, 6)).kind, Kind::kDifferent);
}

TEST(FileIdentity, LogThatGrewIsComparedByWhatWasRead) {
  FileIdentity identity(RegularFile(10, 5));
  identity.OnRead(0, Bytes("0123456789"), identity.changes());
  const auto verdict = identity.Judge(RegularFile(20, 9));
  ASSERT_EQ(verdict.kind, Kind::kCompare);
  ASSERT_FALSE(verdict.fingerprints.empty());
  EXPECT_TRUE(verdict.fingerprints[0].Matches(Bytes("0123456789")));
  EXPECT_FALSE(verdict.fingerprints[0].Matches(Bytes("0123456788")));
  EXPECT_FALSE(verdict.fingerprints[0].Matches(Bytes("012345678")));
}

TEST(FileIdentity, EmptyFileMayGrow) {
  const FileIdentity identity(RegularFile(0, 5));
  EXPECT_EQ(identity.Judge(RegularFile(20, 9)).kind, Kind::kSame);
}

TEST(FileIdentity, FileThatLostWhatWasReadIsDifferent) {
  FileIdentity identity(RegularFile(10, 5));
  identity.OnRead(0, Bytes("0123456789"), identity.changes());
  EXPECT_EQ(identity.Judge(RegularFile(4, 9)).kind, Kind::kDifferent);
}

TEST(FileIdentity, NoLongerARegularFileIsDifferent) {
  const FileIdentity identity(RegularFile(0, 5));
  Attributes directory = RegularFile(0, 5);
  directory.mode = S_IFDIR | 0755;
  EXPECT_EQ(identity.Judge(directory).kind, Kind::kDifferent);
}

TEST(FileIdentity, OwnWriteWithoutAnswerExplainsEitherSize) {
  FileIdentity identity(RegularFile(10, 5));
  identity.OnWrite(10, 90);
  EXPECT_EQ(identity.Judge(RegularFile(10, 5)).kind, Kind::kSame);
  EXPECT_EQ(identity.Judge(RegularFile(100, 6)).kind, Kind::kSame);
  EXPECT_EQ(identity.Judge(RegularFile(50, 6)).kind, Kind::kSame);
  EXPECT_EQ(identity.Judge(RegularFile(101, 6)).kind, Kind::kDifferent);
  EXPECT_EQ(identity.Judge(RegularFile(9, 6)).kind, Kind::kDifferent);
}

TEST(FileIdentity, AcknowledgedWriteIsComparedByItsBytes) {
  FileIdentity identity(RegularFile(0, 5));
  identity.OnWrite(0, 4);
  identity.OnWriteAcknowledged(0, Bytes("data"));
  const auto verdict = identity.Judge(RegularFile(4, 6));
  ASSERT_EQ(verdict.kind, Kind::kCompare);
  EXPECT_TRUE(verdict.fingerprints[0].Matches(Bytes("data")));
  EXPECT_EQ(identity.known_size(), 4U);
}

TEST(FileIdentity, OverwrittenBytesProveNothing) {
  FileIdentity identity(RegularFile(10, 5));
  identity.OnRead(0, Bytes("0123456789"), identity.changes());
  identity.OnWrite(5, 2);
  EXPECT_EQ(identity.Judge(RegularFile(10, 6)).kind, Kind::kSame);
}

TEST(FileIdentity, TruncationIsRemembered) {
  FileIdentity identity(RegularFile(10, 5));
  identity.OnRead(0, Bytes("0123456789"), identity.changes());
  identity.OnResize(3);
  identity.OnResized(3);
  EXPECT_EQ(identity.Judge(RegularFile(3, 6)).kind, Kind::kSame);
  EXPECT_EQ(identity.Judge(RegularFile(10, 6)).kind, Kind::kDifferent);
}

TEST(FileIdentity, BytesThatWereReadWhileATruncationWasOnItsWayAreNotRemembered) {
  FileIdentity identity(RegularFile(10, 5));
  identity.OnResize(3);
  identity.OnRead(0, Bytes("0123456789"), identity.changes());  // the server had not got to it yet
  identity.OnResized(3);
  EXPECT_EQ(identity.Judge(RegularFile(3, 6)).kind, Kind::kSame);
}

TEST(FileIdentity, BytesWrittenThroughAnotherHandleMustBeThere) {
  FileIdentity identity(RegularFile(10, 5));
  identity.OnWrite(10, 90);
  identity.OnReaches(100);
  EXPECT_EQ(identity.Judge(RegularFile(100, 6)).kind, Kind::kSame);
  EXPECT_EQ(identity.Judge(RegularFile(99, 6)).kind, Kind::kDifferent);
  EXPECT_FALSE(identity.Judge(RegularFile(99, 6)).why.empty());
}

TEST(FileIdentity, TruncationWithoutAnswerExplainsEitherSize) {
  FileIdentity identity(RegularFile(10, 5));
  identity.OnRead(0, Bytes("0123456789"), identity.changes());
  identity.OnResize(3);
  EXPECT_EQ(identity.Judge(RegularFile(3, 6)).kind, Kind::kSame);
  EXPECT_EQ(identity.Judge(RegularFile(10, 6)).kind, Kind::kSame);
  EXPECT_EQ(identity.Judge(RegularFile(11, 6)).kind, Kind::kDifferent);
}

TEST(FileIdentity, BytesThatAWriteOvertookAreNotRemembered) {
  FileIdentity identity(RegularFile(10, 5));
  const std::uint64_t before = identity.changes();
  identity.OnWrite(0, 10);
  identity.OnRead(0, Bytes("0123456789"), before);
  EXPECT_EQ(identity.Judge(RegularFile(10, 6)).kind, Kind::kSame);
}

TEST(Fingerprint, CoversTheLastBytesOfWhatIsLong) {
  const std::string text(10'000, 'x');
  const Fingerprint print = Fingerprint::Of(100, Bytes(text));
  EXPECT_EQ(print.length, Fingerprint::kMaxBytes);
  EXPECT_EQ(print.end(), 10'100U);
}

}  // namespace
}  // namespace bt
