#include <thread>

#include "fs/symlink_text.h"
#include "tests/unit/fs/filesystem_fixture.h"

namespace bt {
namespace {

class Tree : public FilesystemTest {};

TEST_F(Tree, MakesADirectoryWithThePermissionsAskedFor) {
  remote_.SetUmask(077);
  const Result<Entry> made = fs().MakeDirectory(Soon(), kRootInode, "d", 0775);
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->attributes.st_mode, S_IFDIR | 0775U);
  EXPECT_EQ(remote_.AttributesOf("/node/d").mode, S_IFDIR | 0775U);
  EXPECT_EQ(InodeOf("d"), made->inode);
  EXPECT_EQ(CodeOf(fs().MakeDirectory(Soon(), kRootInode, "d", 0775)), Code::kExists);
}

TEST_F(Tree, MakesRegularNodesOnly) {
  const Result<Entry> made = fs().MakeNode(Soon(), kRootInode, "f", S_IFREG | 0640);
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(remote_.AttributesOf("/node/f").mode, S_IFREG | 0640U);
  EXPECT_EQ(remote_.open_files(), 0U);
  EXPECT_EQ(CodeOf(fs().MakeNode(Soon(), kRootInode, "f", S_IFREG | 0640)), Code::kExists);
  EXPECT_EQ(CodeOf(fs().MakeNode(Soon(), kRootInode, "p", S_IFIFO | 0640)), Code::kNotPermitted);
  EXPECT_EQ(CodeOf(fs().MakeNode(Soon(), kRootInode, "c", S_IFCHR | 0640)), Code::kNotPermitted);
}

TEST_F(Tree, UnlinkAndRenameCostOneRoundTrip) {
  remote_.WriteFile("/node/a", "");
  remote_.WriteFile("/node/b", "");
  fs();
  remote_.script().ForgetCalls();
  ASSERT_TRUE(fs().Unlink(Soon(), kRootInode, "a").ok());
  ASSERT_TRUE(fs().Rename(Soon(), kRootInode, "b", kRootInode, "c", RenameMode::kReplace).ok());
  EXPECT_EQ(remote_.script().total(), 2U);
}

TEST_F(Tree, RenameCarriesWhatIsBelow) {
  remote_.WriteFile("/node/a/b/f", "text");
  remote_.MakeDirs("/node/c");
  const InodeNo file = InodeOf("a/b/f");
  const ino_t shown = Attributes(file).st_ino;
  ASSERT_TRUE(fs().Rename(Soon(), kRootInode, "a", InodeOf("c"), "z", RenameMode::kReplace).ok());
  EXPECT_EQ(Attributes(file).st_ino, shown);
  EXPECT_EQ(InodeOf("c/z/b/f"), file);
  EXPECT_EQ(ReadText(fs().Open(Soon(), file, O_RDONLY)->handle), "text");
}

TEST_F(Tree, RenameWithoutReplacingRefusesAnExistingTarget) {
  remote_.WriteFile("/node/a", "a");
  remote_.WriteFile("/node/b", "b");
  const InodeNo a = InodeOf("a");
  EXPECT_EQ(CodeOf(fs().Rename(Soon(), kRootInode, "a", kRootInode, "b", RenameMode::kNoReplace)), Code::kExists);
  EXPECT_EQ(InodeOf("a"), a);
  EXPECT_EQ(remote_.ReadFile("/node/b"), "b");
}

TEST_F(Tree, NotFoundBelowADirectoryBeingRenamedIsNotBelieved) {
  AskTheServer();
  remote_.WriteFile("/node/a/f", "text");
  const InodeNo a = InodeOf("a");
  const InodeNo file = InodeOf("a/f");
  remote_.script().Hold(FakeOp::kRename, FaultScript::HoldPoint::kAfterDoing);
  std::jthread renamer(
      [&] { EXPECT_TRUE(fs().Rename(Soon(), kRootInode, "a", kRootInode, "b", RenameMode::kReplace).ok()); });
  ASSERT_TRUE(remote_.script().WaitUntilHeld(FakeOp::kRename, 1));  // the server has renamed, we do not know it yet
  remote_.script().Hold(FakeOp::kLstat, FaultScript::HoldPoint::kAfterDoing);
  std::jthread looker([&] { EXPECT_TRUE(fs().Lookup(Soon(), a, "f").ok()); });
  std::jthread asker([&] { EXPECT_TRUE(fs().GetAttributes(Soon(), file, std::nullopt).ok()); });
  ASSERT_TRUE(remote_.script().WaitUntilHeld(FakeOp::kLstat, 2));  // both were told that there is nothing
  remote_.script().Release(FakeOp::kLstat);
  remote_.script().Release(FakeOp::kRename);
}

TEST_F(Tree, ALinkHasAnInodeOfItsOwnAndTheSameBytes) {
  const CreateReply created = CreateFile("f");
  ASSERT_TRUE(WriteText(created.open.handle, 0, "text").ok());
  const Result<Entry> link = fs().Link(Soon(), created.entry.inode, kRootInode, "g");
  ASSERT_TRUE(link.ok());
  EXPECT_NE(link->inode, created.entry.inode);
  EXPECT_EQ(link->attributes.st_size, 4);
  EXPECT_EQ(ReadText(OpenPath("g", O_RDONLY)), "text");
}

TEST_F(Tree, ALinkedFileIsAskedForAgainOnlyWhenItWasChangedThroughAnotherName) {
  remote_.WriteFile("/node/f", "12345");
  const InodeNo file = InodeOf("f");
  const Result<Entry> link = fs().Link(Soon(), file, kRootInode, "g");
  ASSERT_TRUE(link.ok());
  EXPECT_EQ(link->ttl.count(), 0);
  EXPECT_EQ(Attributes(file).st_size, 5);
  remote_.script().ForgetCalls();
  EXPECT_EQ(Attributes(file).st_size, 5);
  EXPECT_EQ(Attributes(link->inode).st_size, 5);
  EXPECT_EQ(remote_.script().total(), 0U);

  const FileHandle handle = OpenPath("g", O_RDWR);
  ASSERT_TRUE(WriteText(handle, 5, "67").ok());  // not sent yet
  EXPECT_EQ(Attributes(file).st_size, 7);
  EXPECT_EQ(ReadText(OpenPath("f", O_RDONLY)), "1234567");
  const struct stat before = Attributes(file);
  ASSERT_TRUE(WriteText(handle, 0, "x").ok());
  const struct stat after = Attributes(file);
  EXPECT_TRUE(before.st_mtim.tv_sec != after.st_mtim.tv_sec || before.st_mtim.tv_nsec != after.st_mtim.tv_nsec);
  EXPECT_EQ(Look("f")->ttl.count(), 0);
}

TEST_F(Tree, SymlinksStayInsideTheMount) {
  remote_.MakeLink("/node/d/relative", "../x");
  remote_.MakeLink("/node/d/inside", "/node/x");
  remote_.MakeLink("/node/d/outside", "/etc/passwd");
  EXPECT_EQ(*fs().ReadLink(Soon(), InodeOf("d/relative")), "../x");
  EXPECT_EQ(*fs().ReadLink(Soon(), InodeOf("d/inside")), "../x");
  EXPECT_EQ(*fs().ReadLink(Soon(), InodeOf("d/outside")), ".outside-the-mount/etc/passwd");
  EXPECT_EQ(CodeOf(fs().Lookup(Soon(), InodeOf("d"), kOutsideName)), Code::kPermissionDenied);
  EXPECT_EQ(CodeOf(fs().MakeDirectory(Soon(), kRootInode, kOutsideName, 0755)), Code::kPermissionDenied);
  EXPECT_EQ(CodeOf(fs().Create(Soon(), kRootInode, kOutsideName, 0755, O_RDWR)), Code::kPermissionDenied);
}

TEST_F(Tree, ASymlinkIsAsLongAsItsText) {
  remote_.MakeLink("/node/inside", "/node/x");
  const InodeNo link = InodeOf("inside");
  const std::string text = *fs().ReadLink(Soon(), link);
  EXPECT_EQ(Attributes(link).st_size, static_cast<off_t>(text.size()));
}

TEST_F(Tree, CopyingAnOutsideSymlinkKeepsItsText) {
  const Result<Entry> made = fs().MakeSymlink(Soon(), kRootInode, "copy", ".outside-the-mount/etc/passwd");
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(remote_.AttributesOf("/node/copy").size, std::string_view("/etc/passwd").size());
  EXPECT_EQ(*fs().ReadLink(Soon(), made->inode), ".outside-the-mount/etc/passwd");
}

TEST_F(Tree, RawSymlinksAreTheServers) {
  options_.symlinks = SymlinkPolicy::kRaw;
  remote_.MakeLink("/node/outside", "/etc/passwd");
  EXPECT_EQ(*fs().ReadLink(Soon(), InodeOf("outside")), "/etc/passwd");
  EXPECT_EQ(CodeOf(Look(kOutsideName)), Code::kNotFound);
}

TEST_F(Tree, RemovesDirectories) {
  remote_.WriteFile("/node/d/f", "");
  const InodeNo directory = InodeOf("d");
  EXPECT_EQ(CodeOf(fs().RemoveDirectory(Soon(), kRootInode, "d")), Code::kNotEmpty);
  ASSERT_TRUE(fs().Unlink(Soon(), directory, "f").ok());
  ASSERT_TRUE(fs().RemoveDirectory(Soon(), kRootInode, "d").ok());
  EXPECT_EQ(CodeOf(fs().Lookup(Soon(), directory, "f")), Code::kStale);
}

TEST_F(Tree, RefusesNamesThatCannotBe) {
  EXPECT_EQ(CodeOf(Look(std::string(256, 'n'))), Code::kNameTooLong);
  EXPECT_EQ(CodeOf(fs().Lookup(Soon(), kRootInode, "..")), Code::kInvalid);
  remote_.WriteFile("/node/" + std::string(255, 'n'), "");
  EXPECT_TRUE(Look(std::string(255, 'n')).ok());
}

}  // namespace
}  // namespace bt
