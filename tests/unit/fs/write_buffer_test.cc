// The write-behind machinery, through a Filesystem over a fake server whose writes are held and failed by script.
#include <thread>

#include "tests/unit/fs/filesystem_fixture.h"

namespace bt {
namespace {

class WriteBehind : public FilesystemTest {
 protected:
  WriteBehind() { options_.write_threads = 4; }

  FaultScript& script() { return remote_.script(); }
  std::vector<std::pair<std::uint64_t, std::uint64_t>> WritesSeen() {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> seen;
    for (const FakeCall& call : script().calls(FakeOp::kWrite)) {
      seen.emplace_back(call.offset, call.length);
    }
    return seen;
  }
};

using Seen = std::vector<std::pair<std::uint64_t, std::uint64_t>>;
const Error kNoSpace{Code::kNoSpace, "no space left", "test.space", Fate::kAnswered};

TEST_F(WriteBehind, AcceptsAtOnceAndFlushWaitsForTheServer) {
  const FileHandle file = CreateFile("f").open.handle;
  script().Hold(FakeOp::kWrite);
  ASSERT_TRUE(WriteText(file, 0, "hello").ok());
  EXPECT_EQ(fs().unwritten_bytes(), 5U);
  std::jthread closer([&] { EXPECT_TRUE(fs().Flush(Soon(), file).ok()); });
  ASSERT_TRUE(script().WaitUntilHeld(FakeOp::kWrite, 1));
  script().Release(FakeOp::kWrite);
  closer.join();
  EXPECT_EQ(remote_.ReadFile("/node/f"), "hello");
  EXPECT_EQ(fs().unwritten_bytes(), 0U);
}

TEST_F(WriteBehind, JoinsNeighboursThatWait) {
  const FileHandle file = CreateFile("f").open.handle;
  script().Hold(FakeOp::kWrite);
  ASSERT_TRUE(WriteText(file, 0, "0").ok());
  ASSERT_TRUE(script().WaitUntilHeld(FakeOp::kWrite, 1));
  for (std::uint64_t i = 1; i < 100; ++i) {
    ASSERT_TRUE(WriteText(file, i, "x").ok());
  }
  script().Release(FakeOp::kWrite);
  ASSERT_TRUE(fs().Flush(Soon(), file).ok());
  EXPECT_EQ(WritesSeen(), (Seen{{0, 1}, {1, 99}}));
}

TEST_F(WriteBehind, JoinsNoFurtherThanOneRequest) {
  const FileHandle file = CreateFile("f").open.handle;
  const std::string block(128 * 1024, 'b');
  script().Hold(FakeOp::kWrite);
  ASSERT_TRUE(WriteText(file, 0, "0").ok());
  ASSERT_TRUE(script().WaitUntilHeld(FakeOp::kWrite, 1));
  for (std::uint64_t i = 0; i < 17; ++i) {
    ASSERT_TRUE(WriteText(file, 1 + i * block.size(), block).ok());
  }
  script().Release(FakeOp::kWrite);
  ASSERT_TRUE(fs().Flush(Soon(), file).ok());
  for (const auto& [offset, length] : WritesSeen()) {
    EXPECT_LE(length, 1U << 20U);
  }
  EXPECT_EQ(remote_.ReadFile("/node/f").size(), 1 + 17 * block.size());
}

TEST_F(WriteBehind, SendsSeparateRangesSideBySide) {
  const FileHandle file = CreateFile("f").open.handle;
  script().Hold(FakeOp::kWrite);
  for (std::uint64_t i = 0; i < 5; ++i) {
    ASSERT_TRUE(WriteText(file, i * 100, "abc").ok());
  }
  EXPECT_TRUE(script().WaitUntilHeld(FakeOp::kWrite, 4));
  script().Release(FakeOp::kWrite);
  ASSERT_TRUE(fs().Flush(Soon(), file).ok());
}

TEST_F(WriteBehind, HoldsBackAWriteThatOverlapsOneOnItsWay) {
  const FileHandle one = CreateFile("f").open.handle;
  const FileHandle two = OpenPath("f", O_WRONLY);
  script().Hold(FakeOp::kWrite);
  ASSERT_TRUE(WriteText(one, 0, "aaaa").ok());
  ASSERT_TRUE(script().WaitUntilHeld(FakeOp::kWrite, 1));
  ASSERT_TRUE(WriteText(two, 2, "bbbb").ok());
  ASSERT_TRUE(WriteText(one, 3, "c").ok());
  ASSERT_TRUE(WriteText(one, 100, "far").ok());
  ASSERT_TRUE(WriteText(one, 200, "end").ok());
  ASSERT_TRUE(script().WaitUntilHeld(FakeOp::kWrite, 2));  // the first and the one at 100
  EXPECT_EQ(WritesSeen(), (Seen{{0, 4}, {100, 3}}));
  script().Release(FakeOp::kWrite);
  ASSERT_TRUE(fs().FlushAll(Soon()).ok());
  EXPECT_EQ(remote_.ReadFile("/node/f").substr(0, 6), "aabcbb");
}

TEST_F(WriteBehind, SendsAppendsInOrderOneAtATime) {
  remote_.WriteFile("/node/log", "0");
  const FileHandle file = OpenPath("log", O_WRONLY | O_APPEND);
  script().Hold(FakeOp::kWrite);
  ASSERT_TRUE(WriteText(file, 1, "1").ok());
  ASSERT_TRUE(script().WaitUntilHeld(FakeOp::kWrite, 1));
  ASSERT_TRUE(WriteText(file, 2, "2").ok());
  ASSERT_TRUE(WriteText(file, 50, "3").ok());  // the kernel's idea of the end may differ
  ASSERT_TRUE(WriteText(file, 51, "4").ok());
  EXPECT_EQ(script().held(FakeOp::kWrite), 1U);
  script().Release(FakeOp::kWrite);
  ASSERT_TRUE(fs().Flush(Soon(), file).ok());
  EXPECT_EQ(remote_.ReadFile("/node/log"), "01234");
  EXPECT_EQ(script().count(FakeOp::kWrite), 3U);
}

TEST_F(WriteBehind, ReportsTheFirstErrorOnceAndToItsHandleOnly) {
  const FileHandle one = CreateFile("f").open.handle;
  const FileHandle two = OpenPath("f", O_WRONLY);
  script().OnNextCall(FakeOp::kWrite, Fault::NotDone(kNoSpace));
  ASSERT_TRUE(WriteText(one, 0, "lost").ok());
  EXPECT_EQ(CodeOf(fs().Flush(Soon(), one)), Code::kNoSpace);
  EXPECT_TRUE(fs().Flush(Soon(), one).ok());
  EXPECT_TRUE(fs().Flush(Soon(), two).ok());
  EXPECT_EQ(fs().lost_writes(), 0U);
}

TEST_F(WriteBehind, NamesTheFileAndTheRangeInAnError) {
  const FileHandle file = CreateFile("f").open.handle;
  script().OnNextCall(FakeOp::kWrite, Fault::NotDone(kNoSpace));
  ASSERT_TRUE(WriteText(file, 7, "lost").ok());
  const Status flushed = fs().Flush(Soon(), file);
  ASSERT_FALSE(flushed.ok());
  EXPECT_EQ(flushed.error().text, "write /node/f @7+4: no space left");
}

TEST_F(WriteBehind, ReportsAnErrorAtTheNextWriteAndGoesOnAfterIt) {
  const FileHandle file = CreateFile("f").open.handle;
  script().OnNextCall(FakeOp::kWrite, Fault::NotDone(kNoSpace));
  ASSERT_TRUE(WriteText(file, 0, "lost").ok());
  OpenPath("f", O_RDONLY);
  ASSERT_EQ(ReadText(OpenPath("f", O_RDONLY)), "");  // waits for the write to end
  EXPECT_EQ(CodeOf(WriteText(file, 0, "refused")), Code::kNoSpace);
  EXPECT_TRUE(WriteText(file, 0, "taken").ok());
  EXPECT_TRUE(fs().Flush(Soon(), file).ok());
  EXPECT_EQ(remote_.ReadFile("/node/f"), "taken");
}

TEST_F(WriteBehind, CountsAnErrorThatNobodyCollectedAsLost) {
  const FileHandle file = CreateFile("f").open.handle;
  script().OnNextCall(FakeOp::kWrite, Fault::NotDone(kNoSpace));
  script().Hold(FakeOp::kWrite);
  ASSERT_TRUE(WriteText(file, 0, "lost").ok());
  ASSERT_TRUE(script().WaitUntilHeld(FakeOp::kWrite, 1));
  fs().Release(file);
  EXPECT_EQ(remote_.open_files(), 1U);
  script().Release(FakeOp::kWrite);
  EXPECT_EQ(CodeOf(fs().FlushAll(Soon())), Code::kNoSpace);
  EXPECT_TRUE(fs().FlushAll(Soon()).ok());
  EXPECT_EQ(fs().lost_writes(), 1U);
}

TEST_F(WriteBehind, GoesOnWritingAfterReleaseAndThenClosesTheFile) {
  const CreateReply created = CreateFile("f");
  script().Hold(FakeOp::kWrite);
  ASSERT_TRUE(WriteText(created.open.handle, 0, "late").ok());
  ASSERT_TRUE(script().WaitUntilHeld(FakeOp::kWrite, 1));
  fs().Release(created.open.handle);
  fs().Forget(created.entry.inode, 1);
  EXPECT_EQ(remote_.open_files(), 1U);
  EXPECT_EQ(Look("f")->attributes.st_size, 4);  // still the same inode: its unwritten bytes count
  ASSERT_EQ(fs().unwritten_files().size(), 1U);
  EXPECT_EQ(fs().unwritten_files()[0].path, "/node/f");
  EXPECT_EQ(fs().unwritten_files()[0].bytes, 4U);
  script().Release(FakeOp::kWrite);
  ASSERT_TRUE(fs().FlushAll(Soon()).ok());
  EXPECT_EQ(remote_.ReadFile("/node/f"), "late");
}

TEST_F(WriteBehind, MakesWritersWaitAboveTheLimit) {
  options_.dirty_limit = 10;
  const FileHandle file = CreateFile("f").open.handle;
  script().Hold(FakeOp::kWrite);
  ASSERT_TRUE(WriteText(file, 0, "12345678").ok());
  ASSERT_TRUE(script().WaitUntilHeld(FakeOp::kWrite, 1));
  const OpContext now = OpContext::WithTimeout(std::chrono::milliseconds(1));
  EXPECT_EQ(CodeOf(fs().Write(now, file, 8, Bytes("9ab"))), Code::kTimedOut);
  EXPECT_EQ(fs().unwritten_bytes(), 8U);
  std::jthread writer([&] { EXPECT_TRUE(WriteText(file, 8, "9ab").ok()); });
  script().Release(FakeOp::kWrite);
  writer.join();
  ASSERT_TRUE(fs().Flush(Soon(), file).ok());
  EXPECT_EQ(remote_.ReadFile("/node/f"), "123456789ab");
}

TEST_F(WriteBehind, TakesAWriteLargerThanTheLimitAlone) {
  options_.dirty_limit = 4;
  const FileHandle file = CreateFile("f").open.handle;
  ASSERT_TRUE(WriteText(file, 0, "0123456789").ok());
  ASSERT_TRUE(WriteText(file, 10, "0123456789").ok());
  ASSERT_TRUE(fs().Flush(Soon(), file).ok());
  EXPECT_EQ(remote_.ReadFile("/node/f").size(), 20U);
}

TEST_F(WriteBehind, LosesNothingWhenAFlushIsInterrupted) {
  const FileHandle file = CreateFile("f").open.handle;
  script().Hold(FakeOp::kWrite);
  ASSERT_TRUE(WriteText(file, 0, "kept").ok());
  std::stop_source signal;
  std::jthread closer([&] {
    EXPECT_EQ(CodeOf(fs().Flush(OpContext{.deadline = TimePoint::max(), .cancel = signal.get_token()}, file)),
              Code::kInterrupted);
  });
  ASSERT_TRUE(script().WaitUntilHeld(FakeOp::kWrite, 1));
  signal.request_stop();
  closer.join();
  script().Release(FakeOp::kWrite);
  EXPECT_TRUE(fs().Flush(Soon(), file).ok());
  EXPECT_EQ(remote_.ReadFile("/node/f"), "kept");
}

TEST_F(WriteBehind, FlushWaitsForItsOwnHandleOnly) {
  const FileHandle writer = CreateFile("f").open.handle;
  const FileHandle reader = OpenPath("f", O_RDONLY);
  script().Hold(FakeOp::kWrite);
  ASSERT_TRUE(WriteText(writer, 0, "x").ok());
  EXPECT_TRUE(fs().Flush(Soon(), reader).ok());
  script().Release(FakeOp::kWrite);
}

TEST_F(WriteBehind, SyncWaitsForEveryWriteOfTheFileAndAsksTheServer) {
  const FileHandle writer = CreateFile("f").open.handle;
  const FileHandle reader = OpenPath("f", O_RDONLY);
  script().Hold(FakeOp::kWrite);
  ASSERT_TRUE(WriteText(writer, 0, "x").ok());
  std::jthread syncer([&] { EXPECT_TRUE(fs().Sync(Soon(), reader).ok()); });
  ASSERT_TRUE(script().WaitUntilHeld(FakeOp::kWrite, 1));
  EXPECT_EQ(script().count(FakeOp::kSync), 0U);
  script().Release(FakeOp::kWrite);
  syncer.join();
  EXPECT_EQ(script().count(FakeOp::kSync), 1U);
}

TEST_F(WriteBehind, SyncReportsAFailedWrite) {
  const FileHandle file = CreateFile("f").open.handle;
  script().OnNextCall(FakeOp::kWrite, Fault::NotDone(kNoSpace));
  ASSERT_TRUE(WriteText(file, 0, "x").ok());
  EXPECT_EQ(CodeOf(fs().Sync(Soon(), file)), Code::kNoSpace);
}

TEST_F(WriteBehind, SyncIsTheAcknowledgementWhereTheServerHasNoFsync) {
  RemoteCapabilities capabilities = remote_.capabilities();
  capabilities.fsync = false;
  remote_.SetCapabilities(capabilities);
  const FileHandle file = CreateFile("f").open.handle;
  ASSERT_TRUE(WriteText(file, 0, "x").ok());
  EXPECT_TRUE(fs().Sync(Soon(), file).ok());
  EXPECT_EQ(remote_.ReadFile("/node/f"), "x");
}

TEST_F(WriteBehind, EndsWithoutTheServer) {
  const FileHandle file = CreateFile("f").open.handle;
  script().Hold(FakeOp::kWrite);
  ASSERT_TRUE(WriteText(file, 0, "never").ok());
  ASSERT_TRUE(WriteText(file, 100, "never").ok());
  ASSERT_TRUE(script().WaitUntilHeld(FakeOp::kWrite, 1));
  Remount();  // must not hang
  EXPECT_EQ(remote_.open_files(), 0U);
}

TEST_F(WriteBehind, AFileWrittenAndClosedCostsOneRoundTripForData) {
  const FileHandle file = CreateFile("f").open.handle;
  script().ForgetCalls();
  ASSERT_TRUE(WriteText(file, 0, "small").ok());
  ASSERT_TRUE(fs().Flush(Soon(), file).ok());
  fs().Release(file);
  EXPECT_EQ(script().total(), 3U);  // write and look, in one round trip of a real server, and close
}

}  // namespace
}  // namespace bt
