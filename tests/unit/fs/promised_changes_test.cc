// chmod, chown and utimens of files that are open for writing, and what is known of a file after its last write.
#include <thread>

#include "tests/unit/fs/filesystem_fixture.h"

namespace bt {
namespace {

using Request = SetAttributesRequest;

Request Chmod(mode_t permissions) {
  Request request;
  request.permissions = permissions;
  return request;
}

Request Utimens(std::int64_t seconds, long nanoseconds = 0) {
  Request request;
  request.mtime.kind = request.atime.kind = Request::TimeKind::kSet;
  request.mtime.value.tv_sec = request.atime.value.tv_sec = seconds;
  request.mtime.value.tv_nsec = request.atime.value.tv_nsec = nanoseconds;
  return request;
}

class PromisedChanges : public FilesystemTest {
 protected:
  FaultScript& script() { return remote_.script(); }
  struct stat Change(InodeNo inode, const Request& request) {
    const Result<AttributesReply> reply = fs().SetAttributes(Soon(), inode, request, std::nullopt);
    EXPECT_TRUE(reply.ok());
    struct stat nothing {};
    return reply.ok() ? reply->attributes : nothing;
  }
  std::vector<FakeOp> OpsSeen() {
    std::vector<FakeOp> ops;
    for (const FakeCall& call : script().calls()) {
      ops.push_back(call.op);
    }
    return ops;
  }
};

const Error kRefused{Code::kNotPermitted, "no", "test.refused", Fate::kAnswered};

TEST_F(PromisedChanges, TravelBehindTheWritesOfTheirFile) {
  const CreateReply made = CreateFile("f");
  script().ForgetCalls();
  script().Hold(FakeOp::kWrite);
  EXPECT_EQ(Change(made.entry.inode, Chmod(0600)).st_mode & 07777U, 0600U);
  ASSERT_TRUE(WriteText(made.open.handle, 0, "hello").ok());
  EXPECT_EQ(Change(made.entry.inode, Utimens(12345, 678)).st_mtim.tv_sec, 12345);
  EXPECT_EQ(Change(made.entry.inode, Chmod(0640)).st_mode & 07777U, 0640U);
  EXPECT_EQ(remote_.AttributesOf("/node/f").mode & 07777U, 0644U) << "nothing has been sent";
  script().Release(FakeOp::kWrite);
  ASSERT_TRUE(fs().Flush(Soon(), made.open.handle).ok());
  EXPECT_EQ(OpsSeen(), (std::vector{FakeOp::kWrite, FakeOp::kFileSetAttributes, FakeOp::kFileStat}));
  EXPECT_EQ(remote_.AttributesOf("/node/f").mode & 07777U, 0640U);
  EXPECT_EQ(remote_.AttributesOf("/node/f").mtime, 12345);
  const struct stat shown = Attributes(made.entry.inode);
  EXPECT_EQ(shown.st_mtim.tv_sec, 12345);
  EXPECT_EQ(shown.st_mtim.tv_nsec, 678);
  EXPECT_EQ(shown.st_size, 5);
  EXPECT_EQ(script().calls().size(), 3U) << "what came back behind the write is the answer";
}

TEST_F(PromisedChanges, OfTimesStayBetweenTheWritesTheyCameBetween) {
  const CreateReply made = CreateFile("f");
  ASSERT_TRUE(WriteText(made.open.handle, 0, "one").ok());
  Change(made.entry.inode, Utimens(12345));
  remote_.AdvanceClock(10);
  ASSERT_TRUE(WriteText(made.open.handle, 3, "two").ok());
  ASSERT_TRUE(fs().Flush(Soon(), made.open.handle).ok());
  EXPECT_EQ(remote_.ReadFile("/node/f"), "onetwo");
  EXPECT_EQ(remote_.AttributesOf("/node/f").mtime, FakeRemoteFs::kStartTime + 10) << "the second write came later";
}

TEST_F(PromisedChanges, OfTimesFollowWritesThroughOtherHandles) {
  const CreateReply made = CreateFile("f");
  const FileHandle other = OpenPath("f", O_WRONLY);
  script().Hold(FakeOp::kWrite);
  ASSERT_TRUE(WriteText(made.open.handle, 0, std::string(300'000, 'x')).ok());
  ASSERT_TRUE(WriteText(other, 1'000'000, std::string(300'000, 'y')).ok());
  ASSERT_TRUE(script().WaitUntilHeld(FakeOp::kWrite, 2));
  Change(made.entry.inode, Utimens(12345));
  EXPECT_EQ(script().count(FakeOp::kFileSetAttributes), 0U);
  script().Release(FakeOp::kWrite);
  ASSERT_TRUE(fs().FlushAll(Soon()).ok());
  EXPECT_EQ(remote_.AttributesOf("/node/f").mtime, 12345);
}

TEST_F(PromisedChanges, AreShownWhileTheServerDoesNotHaveThem) {
  const CreateReply made = CreateFile("f");
  script().Hold(FakeOp::kFileSetAttributes);
  Change(made.entry.inode, Chmod(0600));
  ASSERT_TRUE(script().WaitUntilHeld(FakeOp::kFileSetAttributes, 1));  // after a while, without a write
  EXPECT_EQ(Attributes(made.entry.inode).st_mode & 07777U, 0600U);
  EXPECT_EQ(Look("f")->attributes.st_mode & 07777U, 0600U);
  script().Release(FakeOp::kFileSetAttributes);
  ASSERT_TRUE(fs().Flush(Soon(), made.open.handle).ok());
}

TEST_F(PromisedChanges, ThatAreRefusedAreReportedOnceAndShownNoLonger) {
  const CreateReply made = CreateFile("f");
  script().OnNextCall(FakeOp::kFileSetAttributes, Fault::NotDone(kRefused));
  Change(made.entry.inode, Chmod(0600));
  ASSERT_TRUE(WriteText(made.open.handle, 0, "text").ok());
  EXPECT_EQ(CodeOf(fs().Flush(Soon(), made.open.handle)), Code::kNotPermitted);
  EXPECT_TRUE(fs().Flush(Soon(), made.open.handle).ok());
  EXPECT_EQ(remote_.ReadFile("/node/f"), "text");
  EXPECT_EQ(Attributes(made.entry.inode).st_mode & 07777U, 0644U);
}

TEST_F(PromisedChanges, AreNotMadeWhenNobodyIsLeftToCollectErrors) {
  const CreateReply made = CreateFile("f");
  ASSERT_TRUE(WriteText(made.open.handle, 0, "text").ok());
  ASSERT_TRUE(fs().Flush(Soon(), made.open.handle).ok());
  script().OnNextCall(FakeOp::kSetAttributes, Fault::NotDone(kRefused));
  EXPECT_EQ(CodeOf(fs().SetAttributes(Soon(), made.entry.inode, Chmod(0600), std::nullopt)), Code::kNotPermitted);
}

TEST_F(PromisedChanges, AreNotMadeWhereTheServerMayRefuse) {
  options_.remote_uid = 1000;  // the fake's files belong to 0
  const CreateReply made = CreateFile("f");
  script().OnNextCall(FakeOp::kSetAttributes, Fault::NotDone(kRefused));
  EXPECT_EQ(CodeOf(fs().SetAttributes(Soon(), made.entry.inode, Chmod(0600), std::nullopt)), Code::kNotPermitted);
  script().ForgetCalls();
  Change(made.entry.inode, Chmod(04755));
  EXPECT_EQ(script().count(FakeOp::kSetAttributes), 1U);
}

TEST_F(PromisedChanges, AreDoneBeforeTheFileIsOpenedByItsNewMode) {
  const CreateReply made = CreateFile("f");
  Change(made.entry.inode, Chmod(0400));
  OpenPath("f", O_RDONLY);
  EXPECT_EQ(remote_.AttributesOf("/node/f").mode & 07777U, 0400U);
}

TEST_F(PromisedChanges, SmallWritesWaitForCompanyButNotForLong) {
  const CreateReply made = CreateFile("f");
  script().ForgetCalls();
  const TimePoint began = Clock::now();
  for (std::uint64_t i = 0; i < 50; ++i) {
    ASSERT_TRUE(WriteText(made.open.handle, i, "x").ok());
  }
  const bool quick = Clock::now() - began < std::chrono::milliseconds(50);
  while (fs().unwritten_bytes() > 0) {  // nobody waits for them but they go
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_TRUE(!quick || script().count(FakeOp::kWrite) == 1U) << script().count(FakeOp::kWrite);
  EXPECT_EQ(remote_.ReadFile("/node/f"), std::string(50, 'x'));
}

// What is done to a file right after it was closed.
class AfterClosing : public PromisedChanges {
 protected:
  AfterClosing() { options_.just_closed_for = std::chrono::hours(1); }

  InodeNo CloseFile(std::string_view name, int flags = O_RDWR) {
    const CreateReply made = CreateFile(name, flags);
    EXPECT_TRUE(WriteText(made.open.handle, 0, "text").ok());
    EXPECT_TRUE(fs().Flush(Soon(), made.open.handle).ok());
    fs().Release(made.open.handle);
    script().ForgetCalls();
    return made.entry.inode;
  }
  Status RenameIt(std::string_view from, std::string_view to) {
    return fs().Rename(Soon(), kRootInode, from, kRootInode, to, RenameMode::kReplace);
  }
  void AwaitNoOpenFile() {
    while (remote_.open_files() > 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
};

TEST_F(AfterClosing, TimesTravelWithTheMode) {
  const InodeNo file = CloseFile("f");
  EXPECT_EQ(Change(file, Utimens(12345, 678)).st_mtim.tv_sec, 12345);
  EXPECT_EQ(Change(file, Chmod(0600)).st_mode & 07777U, 0600U);
  EXPECT_EQ(remote_.AttributesOf("/node/f").mode & 07777U, 0600U);
  EXPECT_EQ(remote_.AttributesOf("/node/f").mtime, 12345);
  ASSERT_TRUE(RenameIt("f", "g").ok());
  EXPECT_EQ(script().count(FakeOp::kSetAttributes), 0U);
  EXPECT_LE(script().count(FakeOp::kFileSetAttributes), 2U);  // one, unless this machine stood still in between
  EXPECT_EQ(Look("g")->attributes.st_mtim.tv_nsec, 678);
  AwaitNoOpenFile();
}

TEST_F(AfterClosing, TimesTravelBesideTheRenaming) {
  const InodeNo file = CloseFile("f");
  script().Hold(FakeOp::kFileSetAttributes);
  Change(file, Utimens(12345));
  ASSERT_TRUE(script().WaitUntilHeld(FakeOp::kFileSetAttributes, 1));
  std::jthread renamer([&] { EXPECT_TRUE(RenameIt("f", "g").ok()); });
  while (!remote_.Exists("/node/g")) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  script().Release(FakeOp::kFileSetAttributes);
  renamer.join();
  EXPECT_EQ(remote_.AttributesOf("/node/g").mtime, 12345);
}

TEST_F(AfterClosing, RenamingTellsThatAChangeWasRefused) {
  const InodeNo file = CloseFile("f");
  script().OnNextCall(FakeOp::kFileSetAttributes, Fault::NotDone(kRefused));
  Change(file, Utimens(12345));
  const Status renamed = RenameIt("f", "g");
  ASSERT_FALSE(renamed.ok());
  EXPECT_EQ(renamed.error().code, Code::kNotPermitted);
  EXPECT_EQ(fs().lost_writes(), 0U);
  EXPECT_EQ(Look("g")->attributes.st_mtim.tv_sec, FakeRemoteFs::kStartTime);
}

TEST_F(AfterClosing, AModeThatIsRefusedIsAnErrorOfItsOwn) {
  const InodeNo file = CloseFile("f");
  script().OnNextCall(FakeOp::kFileSetAttributes, Fault::NotDone(kRefused));
  EXPECT_EQ(CodeOf(fs().SetAttributes(Soon(), file, Chmod(0600), std::nullopt)), Code::kNotPermitted);
  EXPECT_EQ(Attributes(file).st_mode & 07777U, 0644U);
  EXPECT_TRUE(RenameIt("f", "g").ok());
}

TEST_F(AfterClosing, AChangeThatWasRefusedIsCountedWhenNobodyRenames) {
  options_.just_closed_for = std::chrono::milliseconds(20);
  const InodeNo file = CloseFile("f");
  script().OnNextCall(FakeOp::kFileSetAttributes, Fault::NotDone(kRefused));
  script().OnNextCall(FakeOp::kSetAttributes, Fault::NotDone(kRefused));
  if (fs().SetAttributes(Soon(), file, Utimens(12345), std::nullopt).ok()) {  // in time
    while (fs().lost_writes() == 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_EQ(Attributes(file).st_mtim.tv_sec, FakeRemoteFs::kStartTime);
  }
}

TEST_F(AfterClosing, OpeningItAgainForReadingCostsNothing) {
  const InodeNo file = CloseFile("f");
  const Result<OpenReply> again = fs().Open(Soon(), file, O_RDONLY);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(script().total(), 0U);
  EXPECT_EQ(ReadText(again->handle), "text");
  // The handle goes on when the moment is over.
  ASSERT_TRUE(fs().Unlink(Soon(), kRootInode, "f").ok());
  EXPECT_EQ(ReadText(again->handle), "text");
  fs().Release(again->handle);
  AwaitNoOpenFile();
}

TEST_F(AfterClosing, OpeningItForMoreThanItWasOpenForAsksTheServer) {
  const InodeNo only_written = CloseFile("w", O_WRONLY);
  ASSERT_TRUE(fs().Open(Soon(), only_written, O_RDONLY).ok());
  EXPECT_EQ(script().count(FakeOp::kOpen), 1U);
  const InodeNo other_mode = CloseFile("m");
  Change(other_mode, Chmod(0200));  // which may not let it be read
  ASSERT_TRUE(fs().Open(Soon(), other_mode, O_RDONLY).ok());
  EXPECT_EQ(script().count(FakeOp::kOpen), 1U);
  ASSERT_TRUE(fs().Open(Soon(), other_mode, O_RDWR).ok());
  EXPECT_EQ(script().count(FakeOp::kOpen), 2U);
}

TEST_F(AfterClosing, NoMoreThanAFewStayOpen) {
  for (int i = 0; i < 200; ++i) {
    CloseFile("f" + std::to_string(i));
  }
  EXPECT_LE(remote_.open_files(), 64U);
  Remount();
  EXPECT_EQ(remote_.open_files(), 0U);
}

TEST_F(AfterClosing, AFileThatOthersTookAwayIsGone) {
  AskTheServer();
  CloseFile("f");
  remote_.Remove("/node/f");
  EXPECT_EQ(CodeOf(Look("f")), Code::kNotFound);
}

TEST_F(PromisedChanges, NanosecondsGoWithTheNameAndEndWithTheNextWrite) {
  CreateReply made = CreateFile("a");
  ASSERT_TRUE(fs().Flush(Soon(), made.open.handle).ok());
  EXPECT_EQ(Change(made.entry.inode, Utimens(500, 9)).st_ctim.tv_nsec, 9);
  ASSERT_TRUE(fs().Rename(Soon(), kRootInode, "a", kRootInode, "b", RenameMode::kReplace).ok());
  EXPECT_EQ(Look("b")->attributes.st_mtim.tv_nsec, 9);
  remote_.SetClock([] { return 500; });  // the same second, as far as the server can tell
  ASSERT_TRUE(WriteText(made.open.handle, 0, "x").ok());
  ASSERT_TRUE(fs().Flush(Soon(), made.open.handle).ok());
  EXPECT_EQ(Look("b")->attributes.st_mtim.tv_sec, 500);
  EXPECT_EQ(Look("b")->attributes.st_mtim.tv_nsec, 0);
}

}  // namespace
}  // namespace bt
