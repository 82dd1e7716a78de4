#include "fs/inode_table.h"

#include <gtest/gtest.h>

#include <set>

namespace bt {
namespace {

Name N(std::string_view text) { return Name::Parse(text).value(); }

class InodeTableTest : public ::testing::Test {
 protected:
  InodeNo Dir(InodeNo parent, std::string_view name) {
    return table_.LookUp(parent, N(name), S_IFDIR).value()->number();
  }
  InodeNo File(InodeNo parent, std::string_view name) {
    return table_.LookUp(parent, N(name), S_IFREG).value()->number();
  }
  std::string Path(InodeNo number) {
    const Result<RemotePath> path = table_.PathOf(number);
    return path.ok() ? path->text() : std::string(CodeName(path.error().code));
  }
  ino_t Shown(InodeNo number) { return table_.Pin(number).value().inode()->shown_number(); }

  InodeTable table_{RemotePath::Parse("/b10/work").value()};
};

TEST_F(InodeTableTest, KnowsTheRoot) {
  EXPECT_EQ(Path(kRootInode), "/b10/work");
  EXPECT_FALSE(table_.detached(kRootInode));
  table_.Forget(kRootInode, 100);
  EXPECT_EQ(Path(kRootInode), "/b10/work");
}

TEST_F(InodeTableTest, FindsTheSameInodeAgain) {
  const InodeNo file = File(kRootInode, "a");
  EXPECT_EQ(File(kRootInode, "a"), file);
  EXPECT_EQ(Path(file), "/b10/work/a");
}

TEST_F(InodeTableTest, ForgetsOnlyWhenEveryLookupIsGivenBack) {
  const InodeNo file = File(kRootInode, "a");
  File(kRootInode, "a");
  table_.Forget(file, 1);
  EXPECT_EQ(Path(file), "/b10/work/a");
  table_.Forget(file, 1);
  EXPECT_EQ(Path(file), "stale");
  EXPECT_EQ(table_.size(), 1U);
}

TEST_F(InodeTableTest, NeverUsesANumberTwice) {
  const InodeNo first = File(kRootInode, "a");
  table_.Forget(first, 1);
  EXPECT_NE(File(kRootInode, "a"), first);
}

TEST_F(InodeTableTest, KeepsAForgottenDirectoryWhileItsChildrenAreKnown) {
  const InodeNo dir = Dir(kRootInode, "d");
  const InodeNo file = File(dir, "f");
  table_.Forget(dir, 1);
  EXPECT_EQ(Path(file), "/b10/work/d/f");
  table_.Forget(file, 1);
  EXPECT_EQ(table_.size(), 1U);
}

TEST_F(InodeTableTest, KeepsAPinnedInodeWhateverTheKernelForgets) {
  const InodeNo file = File(kRootInode, "a");
  {
    const InodePin pin = table_.Pin(file).value();
    table_.Forget(file, 50);
    EXPECT_EQ(Path(file), "/b10/work/a");
  }
  EXPECT_EQ(table_.size(), 1U);
  EXPECT_EQ(table_.Pin(file).error().code, Code::kStale);
}

TEST_F(InodeTableTest, MovesEverythingBelowARenamedDirectory) {
  const InodeNo a = Dir(kRootInode, "a");
  const InodeNo b = Dir(a, "b");
  const InodeNo file = File(b, "f");
  const InodeNo c = Dir(kRootInode, "c");
  const ino_t shown = Shown(file);
  table_.Moved(kRootInode, N("a"), c, N("z"));
  EXPECT_EQ(Path(file), "/b10/work/c/z/b/f");
  EXPECT_EQ(Shown(file), shown);
  EXPECT_EQ(table_.Glance(kRootInode, N("a")).inode, nullptr);
  EXPECT_EQ(Dir(c, "z"), a);
}

TEST_F(InodeTableTest, DetachesWhatARenameReplaced) {
  const InodeNo from = File(kRootInode, "new");
  const InodeNo to = File(kRootInode, "old");
  table_.Moved(kRootInode, N("new"), kRootInode, N("old"));
  EXPECT_EQ(Path(from), "/b10/work/old");
  EXPECT_TRUE(table_.detached(to));
  EXPECT_EQ(table_.Describe(to), "/b10/work/old");
}

TEST_F(InodeTableTest, RenamesOverAnUnknownNameAndFromAnUnknownOne) {
  const InodeNo file = File(kRootInode, "known");
  table_.Moved(kRootInode, N("unknown"), kRootInode, N("known"));
  EXPECT_TRUE(table_.detached(file));
  const InodeNo other = File(kRootInode, "other");
  table_.Moved(kRootInode, N("other"), kRootInode, N("other"));
  EXPECT_EQ(Path(other), "/b10/work/other");
}

TEST_F(InodeTableTest, KeepsARemovedFileWithoutAPathUntilItIsForgotten) {
  const InodeNo file = File(kRootInode, "a");
  table_.Gone(kRootInode, N("a"));
  EXPECT_TRUE(table_.detached(file));
  EXPECT_EQ(Path(file), "stale");
  const InodeNo next = File(kRootInode, "a");
  EXPECT_NE(next, file);
  table_.Forget(file, 1);
  EXPECT_EQ(table_.size(), 2U);
  EXPECT_EQ(Path(next), "/b10/work/a");
}

TEST_F(InodeTableTest, HasNoPathBelowARemovedDirectory) {
  const InodeNo dir = Dir(kRootInode, "d");
  const InodeNo file = File(dir, "f");
  table_.Gone(kRootInode, N("d"));
  EXPECT_EQ(Path(file), "stale");
  EXPECT_TRUE(table_.detached(file));
  EXPECT_EQ(table_.LookUp(dir, N("g"), S_IFREG).error().code, Code::kStale);
}

TEST_F(InodeTableTest, TakesAnotherTypeAtTheSameNameForAnotherFile) {
  const InodeNo file = File(kRootInode, "a");
  const InodeNo dir = Dir(kRootInode, "a");
  EXPECT_NE(dir, file);
  EXPECT_TRUE(table_.detached(file));
}

TEST_F(InodeTableTest, TakesAFileJustMadeForANewOne) {
  const InodeNo before = File(kRootInode, "a");
  EXPECT_NE(table_.Made(kRootInode, N("a"), S_IFREG).value()->number(), before);
  EXPECT_TRUE(table_.detached(before));
}

TEST_F(InodeTableTest, DoesNotBelieveNotFoundOfANameSeenSince) {
  const InodeNo file = File(kRootInode, "a");
  const InodeTable::Glimpse before = table_.Glance(kRootInode, N("a"));
  File(kRootInode, "a");
  table_.GoneUnlessSeenSince(kRootInode, N("a"), before);
  EXPECT_FALSE(table_.detached(file));
  table_.GoneUnlessSeenSince(kRootInode, N("a"), table_.Glance(kRootInode, N("a")));
  EXPECT_TRUE(table_.detached(file));
}

TEST_F(InodeTableTest, ShowsTheSameNumberAfterARemount) {
  const InodeNo file = File(Dir(kRootInode, "d"), "f");
  InodeTable other(RemotePath::Parse("/b10/work").value());
  const InodeNo dir = other.LookUp(kRootInode, N("d"), S_IFDIR).value()->number();
  EXPECT_EQ(other.LookUp(dir, N("f"), S_IFREG).value()->shown_number(), Shown(file));
}

TEST_F(InodeTableTest, ShowsTheNumberInListingsThatTheInodeWillHave) {
  const ino_t listed = table_.ShownNumber(kRootInode, N("a"), S_IFREG);
  EXPECT_NE(listed, 0U);
  const InodeNo file = File(kRootInode, "a");
  EXPECT_EQ(Shown(file), listed);
  EXPECT_EQ(table_.ShownNumber(kRootInode, N("a"), S_IFREG), listed);
}

TEST_F(InodeTableTest, ShowsNoNumberTwice) {
  const InodeNo first = File(kRootInode, "log");
  const ino_t shown = Shown(first);
  table_.Moved(kRootInode, N("log"), kRootInode, N("log.1"));
  const InodeNo second = File(kRootInode, "log");
  EXPECT_EQ(Shown(first), shown);
  EXPECT_NE(Shown(second), shown);
  table_.Gone(kRootInode, N("log"));
  const InodeNo third = File(kRootInode, "log");
  EXPECT_EQ((std::set<ino_t>{Shown(first), Shown(second), Shown(third)}).size(), 3U);
}

TEST_F(InodeTableTest, RemembersThatADirectoryLostNames) {
  const TimePoint before = Clock::now();
  EXPECT_FALSE(table_.LostNamesSince(kRootInode, before));
  table_.Gone(kRootInode, N("a"));
  EXPECT_TRUE(table_.LostNamesSince(kRootInode, before));
}

TEST_F(InodeTableTest, TellsTheNumberOfTheDirectoryAbove) {
  const InodeNo dir = Dir(kRootInode, "d");
  EXPECT_EQ(table_.ParentShownNumber(dir), Shown(kRootInode));
  EXPECT_EQ(table_.ParentShownNumber(kRootInode), Shown(kRootInode));
}

}  // namespace
}  // namespace bt
