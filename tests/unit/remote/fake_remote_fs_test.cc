// What the fake offers beyond the contract: its script, its log and its clock.
#include "tests/support/fake_remote_fs/fake_remote_fs.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "transport/base/units.h"

namespace bt {
namespace {

RemotePath P(std::string_view text) { return RemotePath::Parse(text).value(); }

std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

OpenFlags ReadWrite() {
  OpenFlags flags;
  flags.read = flags.write = flags.create = true;
  return flags;
}

class FakeRemoteFsTest : public testing::Test {
 protected:
  std::unique_ptr<RemoteFile> Open(std::string_view path) {
    return fs_.Open(ctx_, P(path), ReadWrite(), 0644).value().file;
  }

  const OpContext ctx_ = OpContext::WithTimeout(std::chrono::seconds(30));
  FakeRemoteFs fs_;
};

TEST_F(FakeRemoteFsTest, FailsTheScriptedCallOnly) {
  fs_.WriteFile("/a", "x");
  fs_.script().OnCall(2, FakeOp::kLstat, Fault::NotDone());
  EXPECT_TRUE(fs_.Lstat(ctx_, P("/a")).ok());
  const Result<Attributes> second = fs_.Lstat(ctx_, P("/a"));
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, Code::kDisconnected);
  EXPECT_EQ(second.error().fate, Fate::kNotSent);
  EXPECT_TRUE(fs_.Lstat(ctx_, P("/a")).ok());
}

TEST_F(FakeRemoteFsTest, FailsEveryCallUntilCleared) {
  fs_.script().OnEveryCall(FakeOp::kLstat, Fault::NotDone());
  EXPECT_FALSE(fs_.Lstat(ctx_, P("/")).ok());
  EXPECT_FALSE(fs_.Lstat(ctx_, P("/")).ok());
  EXPECT_TRUE(fs_.Stat(ctx_, P("/")).ok());
  fs_.script().Clear();
  EXPECT_TRUE(fs_.Lstat(ctx_, P("/")).ok());
}

TEST_F(FakeRemoteFsTest, CallThatIsNotDoneChangesNothing) {
  fs_.script().OnNextCall(FakeOp::kMakeDirectory, Fault::NotDone());
  EXPECT_FALSE(fs_.MakeDirectory(ctx_, P("/d"), 0755).ok());
  EXPECT_FALSE(fs_.Exists("/d"));
}

TEST_F(FakeRemoteFsTest, LostReplyLeavesTheChangeDone) {
  fs_.script().OnNextCall(FakeOp::kMakeDirectory, Fault::ReplyLost());
  const Status status = fs_.MakeDirectory(ctx_, P("/d"), 0755);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().fate, Fate::kUnknown);
  EXPECT_TRUE(fs_.Exists("/d"));
}

TEST_F(FakeRemoteFsTest, WriteCanBeCutInItsMiddle) {
  const auto file = Open("/a");
  fs_.script().OnNextCall(FakeOp::kWrite, Fault::CutAfter(3));
  EXPECT_FALSE(file->Write(ctx_, 0, Bytes("abcdef")).ok());
  EXPECT_EQ(fs_.ReadFile("/a"), "abc");
}

TEST_F(FakeRemoteFsTest, ActionRunsJustBeforeTheCall) {
  fs_.WriteFile("/a", "old");
  fs_.script().OnNextCall(FakeOp::kLstat, Fault::Do([this] { fs_.WriteFile("/a", "longer"); }));
  EXPECT_EQ(fs_.Lstat(ctx_, P("/a")).value().size, 6U);
}

TEST_F(FakeRemoteFsTest, HoldsCallsUntilReleased) {
  fs_.WriteFile("/a", "x");
  fs_.script().Hold(FakeOp::kLstat);
  {
    std::vector<std::jthread> threads;
    std::vector<char> ok(3);
    threads.reserve(ok.size());
    for (char& one : ok) {
      threads.emplace_back([&] { one = fs_.Lstat(ctx_, P("/a")).ok() ? 1 : 0; });
    }
    ASSERT_TRUE(fs_.script().WaitUntilHeld(FakeOp::kLstat, 3));
    EXPECT_TRUE(fs_.Stat(ctx_, P("/a")).ok()) << "other operations pass";
    fs_.script().Release(FakeOp::kLstat);
    threads.clear();
    EXPECT_EQ(ok, std::vector<char>(3, 1));
  }
  EXPECT_EQ(fs_.script().held(FakeOp::kLstat), 0U);
  EXPECT_TRUE(fs_.Lstat(ctx_, P("/a")).ok()) << "later calls pass";
}

TEST_F(FakeRemoteFsTest, ReleasesHeldCallsOneByOne) {
  fs_.script().Hold(FakeOp::kMakeDirectory);
  std::jthread first([&] { EXPECT_TRUE(fs_.MakeDirectory(ctx_, P("/1"), 0755).ok()); });
  std::jthread second([&] { EXPECT_TRUE(fs_.MakeDirectory(ctx_, P("/2"), 0755).ok()); });
  ASSERT_TRUE(fs_.script().WaitUntilHeld(FakeOp::kMakeDirectory, 2));
  fs_.script().ReleaseOne(FakeOp::kMakeDirectory);
  fs_.script().ReleaseOne(FakeOp::kMakeDirectory);
  first.join();
  second.join();
  EXPECT_TRUE(fs_.Exists("/1"));
  EXPECT_TRUE(fs_.Exists("/2"));
}

TEST_F(FakeRemoteFsTest, HeldCallEndsWithItsContextAndIsNotDone) {
  fs_.script().Hold(FakeOp::kMakeDirectory);
  std::stop_source source;
  Status status;
  {
    const std::jthread thread([&] {
      status = fs_.MakeDirectory(OpContext{TimePoint::max(), source.get_token()}, P("/d"), 0755);
    });
    ASSERT_TRUE(fs_.script().WaitUntilHeld(FakeOp::kMakeDirectory, 1));
    source.request_stop();
  }
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Code::kInterrupted);
  EXPECT_EQ(status.error().fate, Fate::kUnknown);
  EXPECT_FALSE(fs_.Exists("/d"));
}

TEST_F(FakeRemoteFsTest, CallHeldOnItsWayBackIsDone) {
  fs_.script().Hold(FakeOp::kMakeDirectory, FaultScript::HoldPoint::kAfterDoing);
  {
    const std::jthread thread([&] { EXPECT_TRUE(fs_.MakeDirectory(ctx_, P("/d"), 0755).ok()); });
    ASSERT_TRUE(fs_.script().WaitUntilHeld(FakeOp::kMakeDirectory, 1));
    EXPECT_TRUE(fs_.Exists("/d"));
    fs_.script().Release(FakeOp::kMakeDirectory);
  }
}

TEST_F(FakeRemoteFsTest, LogsCallsInOrder) {
  {
    const auto file = Open("/a");
    EXPECT_TRUE(file->Write(ctx_, 10, Bytes("abc")).ok());
  }
  EXPECT_TRUE(fs_.Rename(ctx_, P("/a"), P("/b"), RenameMode::kReplace).ok());
  const std::vector<FakeCall> calls = fs_.script().calls();
  ASSERT_EQ(calls.size(), 4U);
  EXPECT_EQ(calls[0].op, FakeOp::kOpen);
  EXPECT_EQ(calls[1].op, FakeOp::kWrite);
  EXPECT_EQ(calls[1].path, P("/a"));
  EXPECT_EQ(calls[1].offset, 10U);
  EXPECT_EQ(calls[1].length, 3U);
  EXPECT_EQ(calls[2].op, FakeOp::kClose);
  EXPECT_EQ(calls[3].op, FakeOp::kRename);
  EXPECT_EQ(calls[3].other, P("/b"));
  EXPECT_EQ(fs_.script().count(FakeOp::kWrite), 1U);
  EXPECT_EQ(fs_.script().total(), 4U);
  fs_.script().ForgetCalls();
  EXPECT_EQ(fs_.script().total(), 0U);
}

TEST_F(FakeRemoteFsTest, EndedContextIsNoCall) {
  EXPECT_FALSE(fs_.Lstat(OpContext{TimePoint::min(), {}}, P("/")).ok());
  EXPECT_EQ(fs_.script().total(), 0U);
}

TEST_F(FakeRemoteFsTest, TimesComeFromItsClock) {
  fs_.WriteFile("/a", "x");
  EXPECT_EQ(fs_.AttributesOf("/a").mtime, FakeRemoteFs::kStartTime);
  fs_.AdvanceClock(5);
  fs_.AppendFile("/a", "y");
  EXPECT_EQ(fs_.AttributesOf("/a").mtime, FakeRemoteFs::kStartTime + 5);
  EXPECT_EQ(fs_.AttributesOf("/a").atime, FakeRemoteFs::kStartTime);
  fs_.SetClock([] { return std::int64_t{77}; });
  fs_.WriteFile("/b", "x");
  EXPECT_EQ(fs_.AttributesOf("/b").mtime, 77);
}

TEST_F(FakeRemoteFsTest, HugeFilesTakeNoMemory) {
  const auto file = Open("/a");
  AttributeChange change;
  change.size = 1024_GiB;
  EXPECT_TRUE(file->SetAttributes(ctx_, change).ok());
  EXPECT_TRUE(file->Write(ctx_, 1024_GiB, Bytes("end")).ok());
  EXPECT_EQ(file->Stat(ctx_).value().size, 1024_GiB + 3);
}

TEST_F(FakeRemoteFsTest, RefusesMoreHandlesThanItOffers) {
  RemoteCapabilities capabilities = fs_.capabilities();
  capabilities.max_handles = 1;
  fs_.SetCapabilities(capabilities);
  auto file = Open("/a");
  EXPECT_EQ(fs_.open_files(), 1U);
  EXPECT_EQ(fs_.Open(ctx_, P("/a"), ReadWrite(), 0644).error().code, Code::kTooManyHandles);
  file.reset();
  EXPECT_TRUE(fs_.Open(ctx_, P("/a"), ReadWrite(), 0644).ok());
  EXPECT_EQ(fs_.open_files(), 0U);
}

TEST(FakeRemoteFs, FileMayOutliveIt) {
  std::unique_ptr<RemoteFile> file;
  {
    FakeRemoteFs fs;
    file = fs.Open(OpContext{}, P("/a"), ReadWrite(), 0644).value().file;
  }
  EXPECT_TRUE(file->Write(OpContext{}, 0, Bytes("x")).ok());
}

TEST(FaultScript, EveryOperationHasAName) {
  for (std::size_t op = 0; op < kFakeOps; ++op) {
    EXPECT_FALSE(FakeOpName(static_cast<FakeOp>(op)).empty());
  }
}

}  // namespace
}  // namespace bt
