#include <unistd.h>

#include <ctime>
#include <thread>

#include "tests/unit/fs/filesystem_fixture.h"

namespace bt {
namespace {

using Request = SetAttributesRequest;

class AttributesOfFiles : public FilesystemTest {
 protected:
  Result<AttributesReply> Set(InodeNo inode, const Request& request) {
    return fs().SetAttributes(Soon(), inode, request, std::nullopt);
  }
  static Request Times(std::int64_t atime, std::int64_t mtime) {
    Request request;
    request.atime = {.kind = Request::TimeKind::kSet, .value = {.tv_sec = atime, .tv_nsec = 999'999'999}};
    request.mtime = {.kind = Request::TimeKind::kSet, .value = {.tv_sec = mtime, .tv_nsec = 1}};
    return request;
  }
};

TEST_F(AttributesOfFiles, LookupCostsOneRoundTrip) {
  remote_.WriteFile("/node/f", "12345");
  fs();
  remote_.script().ForgetCalls();
  const Result<Entry> entry = Look("f");
  ASSERT_TRUE(entry.ok());
  EXPECT_EQ(entry->attributes.st_size, 5);
  EXPECT_EQ(entry->attributes.st_uid, 1000U);
  EXPECT_LE(entry->ttl, options_.attribute_ttl);
  EXPECT_GT(entry->ttl, options_.attribute_ttl / 2);
  EXPECT_EQ(remote_.script().total(), 1U);
}

TEST_F(AttributesOfFiles, NotFoundIsTheServersWordOnly) {
  EXPECT_EQ(CodeOf(Look("missing")), Code::kNotFound);
  remote_.script().OnNextCall(FakeOp::kLstat, Fault::NotDone());
  EXPECT_EQ(CodeOf(Look("missing")), Code::kDisconnected);
}

TEST_F(AttributesOfFiles, ANameThatComesBackIsAnotherFile) {
  remote_.WriteFile("/node/f", "1");
  const InodeNo before = InodeOf("f");
  remote_.Remove("/node/f");
  EXPECT_EQ(CodeOf(Look("f")), Code::kNotFound);
  remote_.WriteFile("/node/f", "2");
  EXPECT_NE(InodeOf("f"), before);
}

TEST_F(AttributesOfFiles, AFileThatBecameADirectoryIsAnotherInode) {
  AskTheServer();
  remote_.WriteFile("/node/f", "1");
  const InodeNo before = InodeOf("f");
  remote_.Remove("/node/f");
  remote_.MakeDirs("/node/f");
  EXPECT_EQ(CodeOf(fs().GetAttributes(Soon(), before, std::nullopt)), Code::kStale);
  EXPECT_NE(InodeOf("f"), before);
}

TEST_F(AttributesOfFiles, ChmodCostsOneRoundTripWhenTheFileWasJustSeen) {
  remote_.WriteFile("/node/f", "12345");
  const InodeNo file = InodeOf("f");
  remote_.script().ForgetCalls();
  Request request;
  request.permissions = S_IFREG | 0600U;
  const Result<AttributesReply> reply = Set(file, request);
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->attributes.st_mode, S_IFREG | 0600U);
  EXPECT_EQ(reply->attributes.st_size, 5);
  EXPECT_LE(reply->ttl, options_.attribute_ttl);
  EXPECT_EQ(remote_.script().total(), 1U);
  EXPECT_EQ(remote_.AttributesOf("/node/f").mode, S_IFREG | 0600U);
}

TEST_F(AttributesOfFiles, AnAnswerTooOldToBuildOnIsAskedForAgain) {
  options_.attribute_ttl = std::chrono::milliseconds(0);
  remote_.WriteFile("/node/f", "12345");
  const InodeNo file = InodeOf("f");
  remote_.AppendFile("/node/f", "67");
  Request request;
  request.permissions = 0600;
  EXPECT_EQ(Set(file, request)->attributes.st_size, 7);
}

TEST_F(AttributesOfFiles, SetIdBitsAreTheServersToGrant) {
  remote_.WriteFile("/node/f", "12345");
  const InodeNo file = InodeOf("f");
  remote_.script().ForgetCalls();
  Request request;
  request.permissions = 02755;
  EXPECT_EQ(Set(file, request)->attributes.st_mode, S_IFREG | 02755U);
  EXPECT_EQ(remote_.script().count(FakeOp::kLstat), 1U);
}

TEST_F(AttributesOfFiles, TimesAreShownAsTheyWereSet) {
  remote_.WriteFile("/node/f", "");
  const InodeNo file = InodeOf("f");
  remote_.script().ForgetCalls();
  const Result<AttributesReply> reply = Set(file, Times(1000, 2000));
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->attributes.st_atim.tv_sec, 1000);
  EXPECT_EQ(reply->attributes.st_mtim.tv_sec, 2000);
  EXPECT_EQ(reply->attributes.st_mtim.tv_nsec, 1);  // kept here, for the server has whole seconds
  EXPECT_EQ(remote_.script().total(), 1U);
  EXPECT_EQ(remote_.AttributesOf("/node/f").mtime, 2000);
  EXPECT_EQ(Set(file, Times(-5, 1LL << 40U))->attributes.st_mtim.tv_sec, 0xFFFFFFFFLL);
  EXPECT_EQ(remote_.AttributesOf("/node/f").atime, 0);
}

TEST_F(AttributesOfFiles, AnOmittedTimeIsKeptAsItIsNow) {
  remote_.WriteFile("/node/f", "");
  const InodeNo file = InodeOf("f");
  remote_.Change("/node/f", TimesChange(111, 222));  // unseen here
  Request request = Times(1000, 0);
  request.mtime = {};
  const Result<AttributesReply> reply = Set(file, request);
  EXPECT_EQ(reply->attributes.st_mtim.tv_sec, 222);
  EXPECT_EQ(remote_.AttributesOf("/node/f").mtime, 222);
  EXPECT_EQ(remote_.AttributesOf("/node/f").atime, 1000);
}

TEST_F(AttributesOfFiles, NowIsTheLocalClock) {
  remote_.WriteFile("/node/f", "");
  Request request;
  request.atime.kind = Request::TimeKind::kNow;
  request.mtime.kind = Request::TimeKind::kNow;
  const std::time_t before = std::time(nullptr);
  ASSERT_TRUE(Set(InodeOf("f"), request).ok());
  EXPECT_GE(remote_.AttributesOf("/node/f").mtime, before);
  EXPECT_LE(remote_.AttributesOf("/node/f").mtime, std::time(nullptr));
}

TEST_F(AttributesOfFiles, TimesAreSetAfterUnwrittenBytes) {
  const CreateReply created = CreateFile("f");
  remote_.script().Hold(FakeOp::kWrite);
  ASSERT_TRUE(WriteText(created.open.handle, 0, "12345").ok());
  ASSERT_TRUE(remote_.script().WaitUntilHeld(FakeOp::kWrite, 1));
  std::jthread setter([&] {
    const Result<AttributesReply> reply = Set(created.entry.inode, Times(1000, 2000));
    ASSERT_TRUE(reply.ok());
    EXPECT_EQ(reply->attributes.st_size, 5);
    EXPECT_EQ(reply->attributes.st_mtim.tv_sec, 2000);
  });
  remote_.script().Release(FakeOp::kWrite);
  setter.join();
  ASSERT_TRUE(fs().Flush(Soon(), created.open.handle).ok());
  EXPECT_EQ(remote_.AttributesOf("/node/f").mtime, 2000);
  EXPECT_EQ(remote_.script().count(FakeOp::kLstat), 0U);  // size, mode and times are all known
}

TEST_F(AttributesOfFiles, AChangeAfterAWriteDoesNotShowAnOldSizeOrTime) {
  const CreateReply created = CreateFile("f");
  remote_.AdvanceClock(50);
  ASSERT_TRUE(WriteText(created.open.handle, 0, "12345").ok());
  ASSERT_TRUE(fs().Flush(Soon(), created.open.handle).ok());
  Request request;
  request.permissions = 0600;
  const Result<AttributesReply> reply = Set(created.entry.inode, request);
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->attributes.st_size, 5);
  EXPECT_EQ(reply->attributes.st_mtim.tv_sec, FakeRemoteFs::kStartTime + 50);
}

TEST_F(AttributesOfFiles, OwnersAreMappedAndTheOtherHalfIsKept) {
  remote_.WriteFile("/node/f", "");
  remote_.Change("/node/f", OwnerChange(33, 44));
  const InodeNo file = InodeOf("f");
  Request request;
  request.uid = 1000;
  EXPECT_EQ(Set(file, request)->attributes.st_uid, 1000U);
  EXPECT_EQ(remote_.AttributesOf("/node/f").uid, 0U);
  EXPECT_EQ(remote_.AttributesOf("/node/f").gid, 44U);
  request = {};
  request.gid = 1000;
  ASSERT_TRUE(Set(file, request).ok());
  EXPECT_EQ(remote_.AttributesOf("/node/f").gid, 0U);
}

TEST_F(AttributesOfFiles, AccessIsDecidedByMode) {
  remote_.WriteFile("/node/f", "");
  const InodeNo file = InodeOf("f");
  EXPECT_TRUE(fs().Access(Soon(), file, R_OK | W_OK, 1000, 1000).ok());
  EXPECT_EQ(CodeOf(fs().Access(Soon(), file, X_OK, 1000, 1000)), Code::kPermissionDenied);
  EXPECT_EQ(CodeOf(fs().Access(Soon(), file, W_OK, 1234, 1234)), Code::kPermissionDenied);
}

TEST_F(AttributesOfFiles, StatFsIsAskedForOnceAWhile) {
  remote_.SetStats({.blocks = 1000, .blocks_free = 500});
  EXPECT_EQ(fs().StatFs(Soon())->blocks, 1000U);
  EXPECT_EQ(fs().StatFs(Soon())->blocks_free, 500U);
  EXPECT_EQ(remote_.script().count(FakeOp::kStatFs), 1U);
}

TEST_F(AttributesOfFiles, StatFsIsZerosWhereTheServerCannotTell) {
  RemoteCapabilities capabilities = remote_.capabilities();
  capabilities.statvfs = false;
  remote_.SetCapabilities(capabilities);
  const Result<FsStats> stats = fs().StatFs(Soon());
  ASSERT_TRUE(stats.ok());
  EXPECT_EQ(stats->blocks, 0U);
  EXPECT_EQ(stats->block_size, 4096U);
}

TEST_F(AttributesOfFiles, StatFsFailsWhenTheLinkDoes) {
  remote_.script().OnNextCall(FakeOp::kStatFs, Fault::NotDone());
  EXPECT_EQ(CodeOf(fs().StatFs(Soon())), Code::kDisconnected);
}

}  // namespace
}  // namespace bt
