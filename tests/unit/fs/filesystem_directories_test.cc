#include "tests/unit/fs/filesystem_fixture.h"

namespace bt {
namespace {

using Names = std::vector<std::string>;

class Directories : public FilesystemTest {
 protected:
  DirectoryHandle OpenDirectoryAt(InodeNo inode = kRootInode) { return fs().OpenDirectory(Soon(), inode).value(); }
  ListSink List(DirectoryHandle handle, off_t offset, bool with_lookups, std::size_t room = SIZE_MAX) {
    ListSink sink(room);
    EXPECT_TRUE(fs().ReadDirectory(Soon(), handle, offset, with_lookups, sink).ok());
    return sink;
  }
};

TEST_F(Directories, ListTheDotsFirstAndThenEveryEntryWithItsType) {
  remote_.WriteFile("/node/file", "text");
  remote_.MakeDirs("/node/sub");
  remote_.MakeLink("/node/link", "file");
  const ListSink sink = List(OpenDirectoryAt(), 0, false);
  ASSERT_EQ(sink.taken.size(), 5U);
  EXPECT_EQ(sink.taken[0].name, ".");
  EXPECT_EQ(sink.taken[1].name, "..");
  EXPECT_TRUE(S_ISREG(sink.At("file").attributes.st_mode));
  EXPECT_TRUE(S_ISDIR(sink.At("sub").attributes.st_mode));
  EXPECT_TRUE(S_ISLNK(sink.At("link").attributes.st_mode));
}

TEST_F(Directories, ListTheNumbersThatStatShows) {
  remote_.WriteFile("/node/sub/file", "text");
  const InodeNo sub = InodeOf("sub");
  const ListSink before = List(OpenDirectoryAt(sub), 0, false);
  EXPECT_EQ(before.At("file").attributes.st_ino, Look("sub/file")->attributes.st_ino);
  EXPECT_EQ(before.At(".").attributes.st_ino, Attributes(sub).st_ino);
  EXPECT_EQ(before.At("..").attributes.st_ino, Attributes(kRootInode).st_ino);
}

TEST_F(Directories, OpeningCostsNothingAndListingOneRequest) {
  fs();
  remote_.script().ForgetCalls();
  const DirectoryHandle handle = OpenDirectoryAt();
  EXPECT_EQ(remote_.script().total(), 0U);
  List(handle, 0, true);
  List(handle, 2, true);
  EXPECT_EQ(remote_.script().total(), 1U);
}

TEST_F(Directories, ContinueWhereTheReplyWasFull) {
  for (int i = 0; i < 10; ++i) {
    remote_.WriteFile("/node/" + std::to_string(i), "");
  }
  const DirectoryHandle handle = OpenDirectoryAt();
  Names all;
  off_t offset = 0;
  for (;;) {
    const ListSink sink = List(handle, offset, true, 3);
    if (sink.taken.empty()) {
      break;
    }
    for (const std::string& name : sink.names()) {
      all.push_back(name);
    }
    offset = sink.taken.back().next;
  }
  EXPECT_EQ(all, (Names{".", "..", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}));
}

TEST_F(Directories, KeepTheirSnapshotUntilARewind) {
  AskTheServer();
  remote_.WriteFile("/node/a", "");
  const DirectoryHandle handle = OpenDirectoryAt();
  List(handle, 0, false, 2);
  remote_.WriteFile("/node/b", "");
  EXPECT_EQ(List(handle, 2, false).names(), (Names{"a"}));
  EXPECT_EQ(List(handle, 0, false).names(), (Names{".", "..", "a", "b"}));
}

TEST_F(Directories, CountALookupForEachEntryTaken) {
  remote_.WriteFile("/node/a", "text");
  remote_.WriteFile("/node/b", "");
  const ListSink sink = List(OpenDirectoryAt(), 0, true, 3);
  ASSERT_EQ(sink.names(), (Names{".", "..", "a"}));
  const ListSink::Taken& a = sink.At("a");
  EXPECT_EQ(sink.At(".").inode, InodeNo{0});
  EXPECT_EQ(a.attributes.st_size, 4);
  EXPECT_TRUE(fs().GetAttributes(Soon(), a.inode, std::nullopt).ok());
  fs().Forget(a.inode, 1);
  EXPECT_EQ(CodeOf(fs().GetAttributes(Soon(), a.inode, std::nullopt)), Code::kStale);
  // "b" was refused, so nothing is left of it: the next number follows that of "b".
  const InodeNo b = InodeOf("b");
  fs().Forget(b, 1);
  EXPECT_EQ(CodeOf(fs().GetAttributes(Soon(), b, std::nullopt)), Code::kStale);
}

TEST_F(Directories, DoNotBringBackWhatWasRemovedSinceTheListing) {
  remote_.WriteFile("/node/a", "");
  remote_.WriteFile("/node/b", "");
  const DirectoryHandle handle = OpenDirectoryAt();
  List(handle, 0, true, 2);
  ASSERT_TRUE(fs().Unlink(Soon(), kRootInode, "a").ok());
  const ListSink rest = List(handle, 2, true);
  EXPECT_EQ(rest.names(), (Names{"a", "b"}));
  EXPECT_EQ(rest.At("a").inode, InodeNo{0});
  EXPECT_NE(rest.At("a").attributes.st_ino, 0U);
}

TEST_F(Directories, DoNotShowAttributesOlderThanOurOwnWrites) {
  remote_.WriteFile("/node/a", "");
  remote_.WriteFile("/node/b", "");
  const DirectoryHandle handle = OpenDirectoryAt();
  List(handle, 0, true, 2);
  const FileHandle file = OpenPath("a", O_WRONLY);
  ASSERT_TRUE(WriteText(file, 0, "new").ok());
  ASSERT_TRUE(fs().Flush(Soon(), file).ok());
  const ListSink rest = List(handle, 2, true);
  EXPECT_EQ(rest.At("a").attributes.st_size, 3);
  EXPECT_NE(rest.At("b").inode, InodeNo{0});
}

TEST_F(Directories, DoNotShowAttributesOfTheFileBefore) {
  remote_.WriteFile("/node/a", "old content");
  const DirectoryHandle handle = OpenDirectoryAt();
  List(handle, 0, true, 2);
  remote_.Remove("/node/a");
  CreateFile("a", O_WRONLY | O_EXCL);
  EXPECT_EQ(List(handle, 2, true).At("a").attributes.st_size, 0);
}

TEST_F(Directories, HideTheReservedName) {
  remote_.WriteFile("/node/.outside-the-mount", "");
  EXPECT_EQ(List(OpenDirectoryAt(), 0, false).names(), (Names{".", ".."}));
}

TEST_F(Directories, HoldTenThousandEntries) {
  for (int i = 0; i < 10'000; ++i) {
    remote_.WriteFile("/node/file-" + std::to_string(i), "");
  }
  EXPECT_EQ(List(OpenDirectoryAt(), 0, true).taken.size(), 10'002U);
}

TEST_F(Directories, PassErrorsOn) {
  remote_.WriteFile("/node/f", "");
  EXPECT_EQ(CodeOf(fs().OpenDirectory(Soon(), InodeOf("f"))), Code::kNotDirectory);
  const DirectoryHandle handle = OpenDirectoryAt();
  remote_.script().OnNextCall(FakeOp::kReadDirectory, Fault::NotDone());
  ListSink sink;
  EXPECT_EQ(CodeOf(fs().ReadDirectory(Soon(), handle, 0, true, sink)), Code::kDisconnected);
  fs().ReleaseDirectory(handle);
  EXPECT_EQ(CodeOf(fs().ReadDirectory(Soon(), handle, 0, true, sink)), Code::kBadHandle);
}

}  // namespace
}  // namespace bt
