// A file that is read without the server, and what becomes of it when the server must be asked after all.
#include "fs/known_file.h"

#include <array>
#include <thread>

#include "tests/unit/fs/filesystem_fixture.h"

namespace bt {
namespace {

const RemotePath kPath = PathOf("/node/f");

class KnownFileTest : public testing::Test {
 protected:
  KnownFileTest() { remote_.MakeDirs("/node"); }

  // What the server has now, as known.
  std::unique_ptr<KnownFile> Known(std::string_view text) {
    remote_.WriteFile("/node/f", text);
    const TimePoint asked_at = Clock::now();
    const Attributes attributes = remote_.Lstat(Soon(), kPath).value();
    const std::span<const std::byte> bytes = Bytes(text);
    remote_.AdvanceClock(10);
    remote_.script().ForgetCalls();
    return std::make_unique<KnownFile>(
        KnownFile::Known{attributes, asked_at,
                         std::make_shared<const std::vector<std::byte>>(bytes.begin(), bytes.end())},
        [this](const OpContext& ctx) { return remote_.Open(ctx, kPath, OpenFlags{.read = true}, 0); },
        [this] { return changed_at_; });
  }
  static std::string Read(KnownFile& file) {
    std::string text(100, '?');
    const Result<std::size_t> got = file.Read(Soon(), 0, std::as_writable_bytes(std::span(text)));
    EXPECT_TRUE(got.ok());
    text.resize(got.ok() ? *got : 0);
    return text;
  }

  FakeRemoteFs remote_;
  TimePoint changed_at_ = TimePoint::min();
};

TEST_F(KnownFileTest, IsReadWithoutAskingTheServer) {
  const auto file = Known("text");
  EXPECT_EQ(Read(*file), "text");
  EXPECT_EQ(remote_.script().total(), 0U);
}

TEST_F(KnownFileTest, IsOpenedOnceWhenItsVersionIsAskedFor) {
  const auto file = Known("text");
  EXPECT_EQ(file->Stat(Soon())->size, 4U);
  EXPECT_EQ(remote_.script().total(), 1U) << "opening tells the version";
  EXPECT_TRUE(file->Stat(Soon()).ok());
  EXPECT_EQ(remote_.script().count(FakeOp::kOpen), 1U);
  EXPECT_EQ(Read(*file), "text");
}

TEST_F(KnownFileTest, NeverBecomesTheFileThatReplacedIt) {
  const auto file = Known("text");
  remote_.WriteFile("/node/f", "other text");
  EXPECT_EQ(CodeOf(file->Stat(Soon())), Code::kStale);
  std::array<std::byte, 4> out{};
  EXPECT_EQ(CodeOf(file->Read(Soon(), 0, out)), Code::kStale);
}

TEST_F(KnownFileTest, GrowsWithTheFileThatBeginsWithIt) {
  const auto file = Known("text");
  remote_.WriteFile("/node/f", "text and more");
  EXPECT_EQ(file->Stat(Soon())->size, 13U);
  EXPECT_EQ(Read(*file), "text and more");
}

TEST_F(KnownFileTest, StaysWhatItWasWhenItsNameIsGone) {
  const auto file = Known("text");
  ASSERT_TRUE(remote_.RemoveFile(Soon(), kPath).ok());
  EXPECT_EQ(file->Stat(Soon())->size, 4U);
  EXPECT_EQ(Read(*file), "text");
  EXPECT_EQ(CodeOf(file->Handle(Soon())), Code::kStale);
}

TEST_F(KnownFileTest, IsWhateverThisMountHasMadeOfIt) {
  const auto file = Known("text");
  remote_.WriteFile("/node/f", "new");
  changed_at_ = Clock::now();
  EXPECT_EQ(Read(*file), "new");
}

TEST_F(KnownFileTest, TellsOfALostConnectionAndTriesAgain) {
  const auto file = Known("text");
  remote_.script().OnNextCall(FakeOp::kOpen, Fault::NotDone());
  EXPECT_EQ(CodeOf(file->Stat(Soon())), Code::kDisconnected);
  EXPECT_EQ(Read(*file), "text");
  EXPECT_EQ(file->Stat(Soon())->size, 4U);
}

TEST_F(KnownFileTest, IsOpenedOnceForAllWhoAskTogether) {
  const auto file = Known("text");
  remote_.script().Hold(FakeOp::kOpen);
  std::jthread first([&] { EXPECT_TRUE(file->Stat(Soon()).ok()); });
  std::jthread second([&] { EXPECT_TRUE(file->Handle(Soon()).ok()); });
  ASSERT_TRUE(remote_.script().WaitUntilHeld(FakeOp::kOpen, 1));
  remote_.script().Release(FakeOp::kOpen);
  first.join();
  second.join();
  EXPECT_EQ(remote_.script().count(FakeOp::kOpen), 1U);
}

class SmallFilesAheadTest : public FilesystemTest {
 protected:
  void OpenInOrder(std::size_t count) {
    for (std::size_t i = 0; i < 100; ++i) {
      remote_.WriteFile("/node/" + Name(i), "text");
    }
    LearnTheTime();
    const DirectoryHandle handle = fs().OpenDirectory(Soon(), kRootInode).value();
    ListSink sink;
    ASSERT_TRUE(fs().ReadDirectory(Soon(), handle, 0, true, sink).ok());
    for (std::size_t i = 0; i < count; ++i) {
      fs().Release(OpenPath(Name(i), O_RDONLY));
    }
  }
  // The server's, by which the files are old enough.
  void LearnTheTime() {
    remote_.AdvanceClock(100);
    remote_.MakeDirs("/proc/self");
    for (const std::size_t refreshed : {1U, 2U}) {  // the first is over once the second has begun
      fs().RefreshInBackground();
      ASSERT_TRUE(WaitFor(FakeOp::kStatFs, refreshed));
      ASSERT_TRUE(WaitFor(FakeOp::kStat, 1));
    }
  }
  static std::string Name(std::size_t i) { return "f" + std::to_string(100 + i); }
  bool WaitFor(FakeOp op, std::size_t count) {
    const TimePoint end = Clock::now() + std::chrono::seconds(20);
    while (remote_.script().count(op) < count && Clock::now() < end) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return remote_.script().count(op) >= count;
  }
};

TEST_F(SmallFilesAheadTest, FilesOpenedInOrderAreOpenedAhead) {
  OpenInOrder(2);
  EXPECT_TRUE(WaitFor(FakeOp::kOpen, 2 + 8));
}

TEST_F(SmallFilesAheadTest, OneFileIsNoOrder) {
  OpenInOrder(1);
  EXPECT_EQ(remote_.script().count(FakeOp::kOpen), 1U);
}

TEST_F(SmallFilesAheadTest, AFileThatTheServerDoesNotLetReadIsStillRefused) {
  remote_.script().OnEveryCall(FakeOp::kOpen, Fault::NotDone({Code::kPermissionDenied, "no", "test", Fate::kAnswered}));
  for (const char* name : {"a", "b", "c", "d"}) {
    remote_.WriteFile(std::string("/node/") + name, "text");
  }
  LearnTheTime();
  const DirectoryHandle handle = fs().OpenDirectory(Soon(), kRootInode).value();
  ListSink sink;
  ASSERT_TRUE(fs().ReadDirectory(Soon(), handle, 0, true, sink).ok());
  for (const char* name : {"a", "b", "c", "d"}) {
    EXPECT_EQ(CodeOf(fs().Open(Soon(), sink.At(name).inode, O_RDONLY)), Code::kPermissionDenied) << name;
  }
}

}  // namespace
}  // namespace bt
