#include "cache/path_epochs.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <optional>

#include "tests/unit/cache/cache_fixture.h"

namespace bt {
namespace {

RemotePath At(const char* text) { return RemotePath::Parse(text).value(); }

class PathEpochsTest : public CacheTest {
 protected:
  using Kind = PathEpochs::Kind;
  std::filesystem::path table() const { return directory() / "workspace" / kEpochTable; }
  void SetUp() override { std::filesystem::create_directory(directory()); }
  PathEpochs Open() {
    return {table(), [this](const Error&) { ++failures_; }};
  }
  int failures_ = 0;
};

TEST_F(PathEpochsTest, StayAsTheyAreForAllWhoShareTheTable) {
  const auto first = Open().Of(At("/a/b"));
  ASSERT_TRUE(first);
  EXPECT_EQ(Open().Of(At("/a/b")), first);
  EXPECT_NE(PathEpochs().Of(At("/a/b")), std::nullopt);
  EXPECT_EQ(failures_, 0);
}

TEST_F(PathEpochsTest, AChangedFileHasNoneAndThenAnother) {
  PathEpochs mine = Open();
  PathEpochs theirs = Open();
  const auto before = mine.Of(At("/a/b"));
  const auto neighbour = mine.Of(At("/a/c"));
  const auto below = mine.Of(At("/a/b/x"));
  {
    const auto change = theirs.Begin({At("/a/b")}, Kind::kFile);
    EXPECT_EQ(mine.Of(At("/a/b")), std::nullopt);
    EXPECT_EQ(theirs.Of(At("/a/b")), std::nullopt);
    EXPECT_EQ(mine.Of(At("/a/c")), neighbour);
  }
  EXPECT_NE(mine.Of(At("/a/b")), std::nullopt);
  EXPECT_NE(mine.Of(At("/a/b")), before);
  EXPECT_EQ(mine.Of(At("/a/b")), theirs.Of(At("/a/b")));
  EXPECT_EQ(mine.Of(At("/a/c")), neighbour);
  EXPECT_EQ(mine.Of(At("/a/b/x")), below);
}

TEST_F(PathEpochsTest, AMovedTreeTakesAllThatIsBelow) {
  PathEpochs epochs = Open();
  const auto deep = epochs.Of(At("/a/b/c/d"));
  const auto other = epochs.Of(At("/ab/c"));
  {
    const auto change = epochs.Begin({At("/a/b"), At("/t")}, Kind::kTree);
    EXPECT_EQ(epochs.Of(At("/a/b/c/d")), std::nullopt);
    EXPECT_EQ(epochs.Of(At("/t/c/d")), std::nullopt);
    EXPECT_EQ(epochs.Of(At("/ab/c")), other);
  }
  EXPECT_NE(epochs.Of(At("/a/b/c/d")), deep);
  EXPECT_NE(epochs.Of(At("/a/b/c/d")), std::nullopt);
}

TEST_F(PathEpochsTest, ChangesOfOnePathDoNotExcludeEachOther) {
  PathEpochs epochs = Open();
  auto first = std::optional(epochs.Begin({At("/a")}, Kind::kFile));
  auto second = std::optional(epochs.Begin({At("/a")}, Kind::kFile));
  first.reset();
  EXPECT_EQ(epochs.Of(At("/a")), std::nullopt);
  second.reset();
  EXPECT_NE(epochs.Of(At("/a")), std::nullopt);
}

TEST_F(PathEpochsTest, WhatIsInDoubtStaysSoAsLongAsTheObjectLives) {
  std::optional<PathEpochs> epochs(std::in_place, table(), [](const Error&) {});
  const auto before = epochs->Of(At("/a"));
  epochs->LeaveInDoubt(epochs->Begin({At("/a")}, Kind::kFile));
  EXPECT_EQ(epochs->Of(At("/a")), std::nullopt);
  EXPECT_EQ(Open().Of(At("/a")), std::nullopt);
  epochs.reset();
  const auto after = Open().Of(At("/a"));
  EXPECT_NE(after, std::nullopt);
  EXPECT_NE(after, before);
}

TEST_F(PathEpochsTest, AKilledProcessChangesNothingForEver) {
  PathEpochs epochs = Open();
  const auto before = epochs.Of(At("/a"));
  const pid_t pid = ::fork();
  if (pid == 0) {
    const auto change = epochs.Begin({At("/a")}, Kind::kFile);
    ::kill(::getpid(), SIGKILL);
  }
  ASSERT_EQ(::waitpid(pid, nullptr, 0), pid);
  EXPECT_NE(epochs.Of(At("/a")), std::nullopt);
  EXPECT_NE(epochs.Of(At("/a")), before);
}

TEST_F(PathEpochsTest, ARemovedOrDamagedTableMakesAllEpochsNew) {
  PathEpochs epochs = Open();
  auto before = epochs.Of(At("/a"));
  std::filesystem::remove_all(directory());
  auto after = epochs.Of(At("/a"));
  EXPECT_NE(after, std::nullopt);
  EXPECT_NE(after, before);
  ASSERT_EQ(::truncate(table().c_str(), 100), 0);
  EXPECT_EQ(Open().Of(At("/a")), std::nullopt);
  EXPECT_NE(Open().Of(At("/a")), std::nullopt);
  EXPECT_NE(Open().Of(At("/a")), after);
}

TEST_F(PathEpochsTest, WithoutATableNothingIsToldUntilThereIsOne) {
  std::filesystem::remove(directory());
  { std::ofstream(directory()) << "a file in the way"; }
  PathEpochs epochs = Open();
  EXPECT_EQ(epochs.Of(At("/a")), std::nullopt);
  EXPECT_GT(failures_, 0);
  std::filesystem::remove(directory());
  EXPECT_NE(epochs.Of(At("/a")), std::nullopt);
}

TEST_F(PathEpochsTest, AfterAChangeThatCannotBeNotedNothingIsTold) {
  PathEpochs epochs = Open();
  EXPECT_NE(epochs.Of(At("/a")), std::nullopt);
  std::filesystem::remove_all(directory());
  { std::ofstream(directory()) << "a file in the way"; }
  static_cast<void>(epochs.Begin({At("/a")}, Kind::kFile));
  std::filesystem::remove(directory());
  EXPECT_EQ(epochs.Of(At("/a")), std::nullopt);
}

}  // namespace
}  // namespace bt
