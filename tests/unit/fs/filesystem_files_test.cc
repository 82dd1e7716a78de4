#include <array>
#include <thread>

#include "tests/unit/fs/filesystem_fixture.h"

namespace bt {
namespace {

class Files : public FilesystemTest {};

TEST_F(Files, ReadsWhatTheServerHas) {
  remote_.WriteFile("/node/f", "content");
  const FileHandle file = OpenPath("f", O_RDONLY);
  EXPECT_EQ(ReadText(file), "content");
  EXPECT_EQ(ReadText(file, 3, 2), "te");
  EXPECT_EQ(ReadText(file, 100), "");
}

TEST_F(Files, AReadErrorIsNeverAnEndOfFile) {
  remote_.WriteFile("/node/f", "content");
  const FileHandle file = OpenPath("f", O_RDONLY);
  remote_.script().OnNextCall(FakeOp::kRead, Fault::NotDone());
  std::array<std::byte, 10> out{};
  EXPECT_EQ(CodeOf(fs().Read(Soon(), file, 0, out)), Code::kDisconnected);
}

TEST_F(Files, AReaderSeesWhatAnotherHandleWrote) {
  const FileHandle writer = CreateFile("f").open.handle;
  const FileHandle reader = OpenPath("f", O_RDONLY);
  ASSERT_TRUE(WriteText(writer, 0, "mine").ok());
  EXPECT_EQ(ReadText(reader), "mine");
}

TEST_F(Files, AReadWaitsOnlyForWritesInItsRange) {
  remote_.WriteFile("/node/f", "0123456789");
  const FileHandle writer = OpenPath("f", O_WRONLY);
  const FileHandle reader = OpenPath("f", O_RDONLY);
  remote_.script().Hold(FakeOp::kWrite);
  ASSERT_TRUE(WriteText(writer, 5, "x").ok());
  EXPECT_EQ(ReadText(reader, 0, 5), "01234");
  remote_.script().Release(FakeOp::kWrite);
  EXPECT_EQ(ReadText(reader, 0, 10), "01234x6789");
}

TEST_F(Files, AReadDoesNotWaitForAppendsThatCameAfterIt) {
  remote_.WriteFile("/node/log", "0");
  const FileHandle writer = OpenPath("log", O_WRONLY | O_APPEND);
  const FileHandle reader = OpenPath("log", O_RDONLY);
  ASSERT_TRUE(WriteText(writer, 1, "1").ok());
  const std::jthread appender([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      EXPECT_TRUE(WriteText(writer, 2, "+").ok());
    }
  });
  EXPECT_EQ(ReadText(reader).substr(0, 2), "01");
}

TEST_F(Files, AHoleBeforeUnwrittenBytesIsNotAnEndOfFile) {
  const FileHandle file = CreateFile("f").open.handle;
  remote_.script().Hold(FakeOp::kWrite);
  ASSERT_TRUE(WriteText(file, 8192, "end").ok());
  ASSERT_TRUE(remote_.script().WaitUntilHeld(FakeOp::kWrite, 1));
  std::jthread reader([&] { EXPECT_EQ(ReadText(file, 0, 4096), std::string(4096, '\0')); });
  remote_.script().Release(FakeOp::kWrite);
}

TEST_F(Files, ShowsTheSizeThatUnwrittenBytesWillGive) {
  const CreateReply created = CreateFile("f");
  remote_.script().Hold(FakeOp::kWrite);
  ASSERT_TRUE(WriteText(created.open.handle, 100, "0123456789").ok());
  EXPECT_EQ(Attributes(created.entry.inode).st_size, 110);
  EXPECT_EQ(Look("f")->attributes.st_size, 110);
  remote_.script().Release(FakeOp::kWrite);
  ASSERT_TRUE(fs().Flush(Soon(), created.open.handle).ok());
  EXPECT_EQ(Attributes(created.entry.inode).st_size, 110);
}

TEST_F(Files, ShowsTheSizeOfAWriteAcknowledgedWhileTheServerAnswered) {
  const CreateReply created = CreateFile("f");
  remote_.script().Hold(FakeOp::kWrite);
  ASSERT_TRUE(WriteText(created.open.handle, 0, "0123456789").ok());
  ASSERT_TRUE(remote_.script().WaitUntilHeld(FakeOp::kWrite, 1));
  remote_.script().Hold(FakeOp::kLstat, FaultScript::HoldPoint::kAfterDoing);
  std::jthread looker([&] { EXPECT_EQ(Attributes(created.entry.inode).st_size, 10); });
  ASSERT_TRUE(remote_.script().WaitUntilHeld(FakeOp::kLstat, 1));  // the server saw it empty
  remote_.script().Release(FakeOp::kWrite);
  ASSERT_TRUE(fs().Flush(Soon(), created.open.handle).ok());
  remote_.script().Release(FakeOp::kLstat);
}

TEST_F(Files, TruncatingSendsUnwrittenBytesFirst) {
  const CreateReply created = CreateFile("f");
  remote_.script().Hold(FakeOp::kWrite);
  ASSERT_TRUE(WriteText(created.open.handle, 0, "0123456789").ok());
  ASSERT_TRUE(remote_.script().WaitUntilHeld(FakeOp::kWrite, 1));
  std::jthread truncater([&] {
    SetAttributesRequest request;
    request.size = 4;
    const Result<AttributesReply> reply = fs().SetAttributes(Soon(), created.entry.inode, request, std::nullopt);
    ASSERT_TRUE(reply.ok());
    EXPECT_EQ(reply->attributes.st_size, 4);
  });
  remote_.script().Release(FakeOp::kWrite);
  truncater.join();
  EXPECT_EQ(remote_.ReadFile("/node/f"), "0123");
}

TEST_F(Files, OpeningWithTruncateSendsUnwrittenBytesFirst) {
  const FileHandle file = CreateFile("f").open.handle;
  remote_.script().Hold(FakeOp::kWrite);
  ASSERT_TRUE(WriteText(file, 0, "0123456789").ok());
  ASSERT_TRUE(remote_.script().WaitUntilHeld(FakeOp::kWrite, 1));
  std::jthread opener([&] {
    const Result<OpenReply> open = fs().Open(Soon(), InodeOf("f"), O_WRONLY | O_TRUNC);
    EXPECT_TRUE(open.ok());
  });
  remote_.script().Release(FakeOp::kWrite);
  opener.join();
  EXPECT_EQ(remote_.ReadFile("/node/f"), "");
}

TEST_F(Files, TruncatesThroughTheHandleThatTheKernelNames) {
  const CreateReply created = CreateFile("f");
  ASSERT_TRUE(WriteText(created.open.handle, 0, "0123456789").ok());
  SetAttributesRequest request;
  request.size = 3;
  ASSERT_TRUE(fs().SetAttributes(Soon(), created.entry.inode, request, created.open.handle).ok());
  EXPECT_EQ(remote_.script().count(FakeOp::kFileSetAttributes), 1U);
  EXPECT_EQ(remote_.ReadFile("/node/f"), "012");
}

TEST_F(Files, AnUnlinkedOpenFileGoesOn) {
  const CreateReply created = CreateFile("f");
  ASSERT_TRUE(WriteText(created.open.handle, 0, "before").ok());
  ASSERT_TRUE(fs().Unlink(Soon(), kRootInode, "f").ok());
  ASSERT_TRUE(WriteText(created.open.handle, 6, " and after").ok());
  EXPECT_EQ(ReadText(created.open.handle), "before and after");
  const struct stat shown = Attributes(created.entry.inode);
  EXPECT_EQ(shown.st_size, 16);
  EXPECT_EQ(shown.st_nlink, 0U);
  SetAttributesRequest request;
  request.size = 6;
  request.permissions = 0600;
  EXPECT_EQ(fs().SetAttributes(Soon(), created.entry.inode, request, std::nullopt)->attributes.st_size, 6);
  EXPECT_EQ(CodeOf(Look("f")), Code::kNotFound);
  EXPECT_NE(CreateFile("f").entry.inode, created.entry.inode);
  fs().Release(created.open.handle);
  EXPECT_EQ(CodeOf(fs().GetAttributes(Soon(), created.entry.inode, std::nullopt)), Code::kStale);
}

TEST_F(Files, AnOpenFileThatIsRenamedOrReplacedGoesOn) {
  const CreateReply one = CreateFile("one");
  const CreateReply two = CreateFile("two");
  ASSERT_TRUE(WriteText(one.open.handle, 0, "1").ok());
  ASSERT_TRUE(WriteText(two.open.handle, 0, "2").ok());
  ASSERT_TRUE(fs().Rename(Soon(), kRootInode, "one", kRootInode, "two", RenameMode::kReplace).ok());
  ASSERT_TRUE(WriteText(one.open.handle, 1, "+").ok());
  ASSERT_TRUE(WriteText(two.open.handle, 1, "-").ok());
  EXPECT_EQ(ReadText(one.open.handle), "1+");
  EXPECT_EQ(ReadText(two.open.handle), "2-");
  EXPECT_EQ(remote_.ReadFile("/node/two"), "1+");
  EXPECT_EQ(Look("two")->inode, one.entry.inode);
  EXPECT_EQ(Attributes(two.entry.inode).st_nlink, 0U);
}

TEST_F(Files, AFileRemovedOnTheServerIsStillThereForItsHandle) {
  AskTheServer();
  const CreateReply created = CreateFile("f");
  remote_.Remove("/node/f");
  EXPECT_TRUE(fs().GetAttributes(Soon(), created.entry.inode, std::nullopt).ok());
  fs().Release(created.open.handle);
  EXPECT_EQ(CodeOf(fs().GetAttributes(Soon(), created.entry.inode, std::nullopt)), Code::kNotFound);
}

TEST_F(Files, CreateGivesThePermissionsThatWereAskedFor) {
  remote_.SetUmask(077);
  const Result<CreateReply> created = fs().Create(Soon(), kRootInode, "f", 0664, O_WRONLY);
  ASSERT_TRUE(created.ok());
  EXPECT_EQ(created->entry.attributes.st_mode, S_IFREG | 0664U);
  EXPECT_EQ(remote_.AttributesOf("/node/f").mode, S_IFREG | 0664U);
}

TEST_F(Files, CreateCostsOneRoundTrip) {
  fs();
  remote_.script().ForgetCalls();
  CreateFile("f");
  EXPECT_EQ(remote_.script().total(), 1U);
}

TEST_F(Files, CreateOpensAFileThatAppearedMeanwhile) {
  remote_.WriteFile("/node/f", "theirs");
  remote_.Change("/node/f", ModeChange(0600));
  const Result<CreateReply> created = fs().Create(Soon(), kRootInode, "f", 0644, O_RDWR);
  ASSERT_TRUE(created.ok());
  EXPECT_EQ(created->entry.attributes.st_mode, S_IFREG | 0600U);
  EXPECT_EQ(ReadText(created->open.handle), "theirs");
  const Result<CreateReply> truncated = fs().Create(Soon(), kRootInode, "f", 0644, O_RDWR | O_TRUNC);
  ASSERT_TRUE(truncated.ok());
  EXPECT_EQ(truncated->entry.inode, created->entry.inode);
  EXPECT_EQ(truncated->entry.attributes.st_size, 0);
  EXPECT_EQ(CodeOf(fs().Create(Soon(), kRootInode, "f", 0644, O_RDWR | O_EXCL)), Code::kExists);
}

TEST_F(Files, RefuseWhatTheHandleWasNotOpenedFor) {
  const FileHandle writer = CreateFile("f", O_WRONLY).open.handle;
  const FileHandle reader = OpenPath("f", O_RDONLY);
  std::array<std::byte, 1> out{};
  EXPECT_EQ(CodeOf(fs().Read(Soon(), writer, 0, out)), Code::kBadHandle);
  EXPECT_EQ(CodeOf(WriteText(reader, 0, "x")), Code::kBadHandle);
  EXPECT_EQ(CodeOf(WriteText(FileHandle{999}, 0, "x")), Code::kBadHandle);
  EXPECT_EQ(CodeOf(WriteText(writer, INT64_MAX, "x")), Code::kTooBig);
}

TEST_F(Files, CopyRangeSendsUnwrittenBytesFirst) {
  const FileHandle from = CreateFile("from").open.handle;
  const FileHandle to = CreateFile("to").open.handle;
  ASSERT_TRUE(WriteText(from, 0, "0123456789").ok());
  ASSERT_TRUE(WriteText(to, 0, "abcdefghij").ok());
  const Result<std::uint64_t> copied = fs().CopyRange(Soon(), from, 2, to, 4, 3);
  ASSERT_TRUE(copied.ok());
  EXPECT_EQ(*copied, 3U);
  EXPECT_EQ(remote_.ReadFile("/node/to"), "abcd234hij");
}

TEST_F(Files, AReadOnlyMountRefusesEveryChange) {
  remote_.WriteFile("/node/f", "x");
  options_.read_only = true;
  const InodeNo file = InodeOf("f");
  remote_.script().ForgetCalls();
  SetAttributesRequest request;
  request.permissions = 0600;
  const OpContext ctx = Soon();
  EXPECT_EQ(CodeOf(fs().Open(ctx, file, O_RDWR)), Code::kReadOnly);
  EXPECT_EQ(CodeOf(fs().Open(ctx, file, O_RDONLY | O_TRUNC)), Code::kReadOnly);
  EXPECT_EQ(CodeOf(fs().Create(ctx, kRootInode, "n", 0644, O_RDWR)), Code::kReadOnly);
  EXPECT_EQ(CodeOf(fs().SetAttributes(ctx, file, request, std::nullopt)), Code::kReadOnly);
  EXPECT_EQ(CodeOf(fs().MakeDirectory(ctx, kRootInode, "d", 0755)), Code::kReadOnly);
  EXPECT_EQ(CodeOf(fs().MakeNode(ctx, kRootInode, "n", S_IFREG | 0644)), Code::kReadOnly);
  EXPECT_EQ(CodeOf(fs().MakeSymlink(ctx, kRootInode, "l", "t")), Code::kReadOnly);
  EXPECT_EQ(CodeOf(fs().Link(ctx, file, kRootInode, "h")), Code::kReadOnly);
  EXPECT_EQ(CodeOf(fs().Unlink(ctx, kRootInode, "f")), Code::kReadOnly);
  EXPECT_EQ(CodeOf(fs().RemoveDirectory(ctx, kRootInode, "d")), Code::kReadOnly);
  EXPECT_EQ(CodeOf(fs().Rename(ctx, kRootInode, "f", kRootInode, "g", RenameMode::kReplace)), Code::kReadOnly);
  EXPECT_EQ(remote_.script().total(), 0U);
  EXPECT_TRUE(fs().Open(ctx, file, O_RDONLY).ok());
}

}  // namespace
}  // namespace bt
