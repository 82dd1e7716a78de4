// What costs no request, and what memory must not tell.
#include <atomic>
#include <thread>

#include "tests/unit/fs/filesystem_fixture.h"

namespace bt {
namespace {

class Memory : public FilesystemTest {
 protected:
  ListSink List(InodeNo inode = kRootInode) {
    const DirectoryHandle handle = fs().OpenDirectory(Soon(), inode).value();
    ListSink sink;
    EXPECT_TRUE(fs().ReadDirectory(Soon(), handle, 0, true, sink).ok());
    fs().ReleaseDirectory(handle);
    return sink;
  }
  std::size_t Requests() { return remote_.script().total(); }
  // Requests that `what` costs.
  template <typename What>
  std::size_t Cost(What what) {
    const std::size_t before = Requests();
    what();
    return Requests() - before;
  }
  bool WaitForListings(std::size_t count) {
    const TimePoint end = Clock::now() + std::chrono::seconds(20);
    while (remote_.script().count(FakeOp::kReadDirectory) < count && Clock::now() < end) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return remote_.script().count(FakeOp::kReadDirectory) >= count;
  }
};

TEST_F(Memory, LookupsInAListedDirectoryCostNothing) {
  remote_.WriteFile("/node/f", "12345");
  List();
  EXPECT_EQ(Cost([&] {
              EXPECT_EQ(Look("f")->attributes.st_size, 5);
              EXPECT_EQ(CodeOf(Look("missing")), Code::kNotFound);
              EXPECT_EQ(fs().KnownEntry(kRootInode, "f")->attributes.st_size, 5);
              EXPECT_EQ(fs().KnownEntry(kRootInode, "missing")->inode, InodeNo{0});
            }),
            0U);
}

TEST_F(Memory, AttributesOfWhatWasListedCostNothing) {
  remote_.WriteFile("/node/f", "12345");
  const ListSink sink = List();
  EXPECT_EQ(Cost([&] {
              EXPECT_EQ(Attributes(sink.At("f").inode).st_size, 5);
              EXPECT_TRUE(fs().KnownAttributes(sink.At("f").inode, false).has_value());
              EXPECT_TRUE(fs().Access(Soon(), sink.At("f").inode, R_OK, 1000, 1000).ok());
            }),
            0U);
}

TEST_F(Memory, ListingAgainCostsNothing) {
  remote_.WriteFile("/node/f", "12345");
  List();
  EXPECT_EQ(Cost([&] {
              EXPECT_EQ(List().At("f").attributes.st_size, 5);
              const DirectoryHandle handle = fs().OpenDirectory(Soon(), kRootInode).value();
              ListSink sink;
              ASSERT_TRUE(fs().ReadKnownDirectory(handle, 0, true, sink).has_value());
              EXPECT_EQ(sink.taken.size(), 3U);
            }),
            0U);
}

TEST_F(Memory, ADirectoryThatWasNotListedIsNotKnown) {
  remote_.WriteFile("/node/f", "");
  const DirectoryHandle handle = fs().OpenDirectory(Soon(), kRootInode).value();
  ListSink sink;
  EXPECT_FALSE(fs().ReadKnownDirectory(handle, 0, true, sink).has_value());
  EXPECT_FALSE(fs().KnownEntry(kRootInode, "f").has_value());
  EXPECT_FALSE(fs().KnownEntry(kRootInode, "missing").has_value());
}

TEST_F(Memory, WhatIsShownLivesNoLongerThanWhatItRestsOn) {
  remote_.WriteFile("/node/f", "");
  List();
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_LT(fs().KnownEntry(kRootInode, "f")->ttl, options_.attribute_ttl - std::chrono::milliseconds(4));
  EXPECT_LT(fs().KnownEntry(kRootInode, "missing")->ttl, options_.attribute_ttl - std::chrono::milliseconds(4));
}

TEST_F(Memory, ChangesOfNamesAreSeenAtOnceAndCostNoLook) {
  remote_.WriteFile("/node/f", "12345");
  remote_.WriteFile("/node/g", "1");
  List();
  CreateFile("new");
  ASSERT_TRUE(fs().Unlink(Soon(), kRootInode, "g").ok());
  ASSERT_TRUE(fs().Rename(Soon(), kRootInode, "f", kRootInode, "h", RenameMode::kReplace).ok());
  ASSERT_TRUE(fs().MakeDirectory(Soon(), kRootInode, "dir", 0755).ok());
  ASSERT_TRUE(fs().MakeSymlink(Soon(), kRootInode, "link", "h").ok());
  EXPECT_EQ(Cost([&] {
              EXPECT_TRUE(Look("new").ok());
              EXPECT_EQ(CodeOf(Look("g")), Code::kNotFound);
              EXPECT_EQ(CodeOf(Look("f")), Code::kNotFound);
              EXPECT_EQ(Look("h")->attributes.st_size, 5);
              EXPECT_TRUE(Look("dir").ok());
              EXPECT_TRUE(Look("link").ok());
            }),
            0U);
  std::vector<std::string> names = List().names();
  std::ranges::sort(names);
  EXPECT_EQ(names, (std::vector<std::string>{".", "..", "dir", "h", "link", "new"}));
}

TEST_F(Memory, AFileThatReplacedAnotherDoesNotHaveItsAttributes) {
  remote_.WriteFile("/node/target", "old and long");
  remote_.WriteFile("/node/temporary", "new");
  List();
  ASSERT_TRUE(fs().Rename(Soon(), kRootInode, "temporary", kRootInode, "target", RenameMode::kReplace).ok());
  EXPECT_EQ(Look("target")->attributes.st_size, 3);
  fs().Forget(InodeOf("target"), 100);  // the kernel drops its caches
  EXPECT_EQ(Look("target")->attributes.st_size, 3);
}

TEST_F(Memory, AChangeOutlivesItsForgottenInode) {
  remote_.WriteFile("/node/f", "12345");
  const InodeNo file = List().At("f").inode;
  SetAttributesRequest request;
  request.permissions = 0600;
  ASSERT_TRUE(fs().SetAttributes(Soon(), file, request, std::nullopt).ok());
  fs().Forget(file, 1);
  EXPECT_EQ(Look("f")->attributes.st_mode, S_IFREG | 0600U);
}

TEST_F(Memory, AnUnfinishedWriteIsNotHiddenByTheListing) {
  remote_.WriteFile("/node/f", "12345");
  List();
  const FileHandle handle = OpenPath("f", O_WRONLY);
  ASSERT_TRUE(WriteText(handle, 5, "67").ok());
  EXPECT_EQ(Look("f")->attributes.st_size, 7);
  ASSERT_TRUE(fs().Flush(Soon(), handle).ok());
  EXPECT_EQ(Look("f")->attributes.st_size, 7);
  EXPECT_EQ(List().At("f").attributes.st_ino, Look("f")->attributes.st_ino);
  fs().Release(handle);
}

TEST_F(Memory, ARenamedDirectoryTakesItsListingAlong) {
  remote_.WriteFile("/node/a/sub/f", "12345");
  List();
  const InodeNo a = InodeOf("a");
  List(a);
  const InodeNo sub = InodeOf("a/sub");
  List(sub);
  const FileHandle handle = OpenPath("a/sub/f", O_RDONLY);
  ASSERT_TRUE(fs().Rename(Soon(), kRootInode, "a", kRootInode, "b", RenameMode::kReplace).ok());
  EXPECT_EQ(Cost([&] {
              EXPECT_EQ(CodeOf(Look("a")), Code::kNotFound);
              EXPECT_EQ(fs().Lookup(Soon(), a, "sub")->inode, sub);
              EXPECT_EQ(fs().Lookup(Soon(), sub, "f")->attributes.st_size, 5);
              EXPECT_EQ(CodeOf(fs().Lookup(Soon(), sub, "g")), Code::kNotFound);
            }),
            0U);
  EXPECT_EQ(InodeOf("b"), a);
  EXPECT_EQ(ReadText(handle), "12345");
}

TEST_F(Memory, ADirectoryMadeInPlaceOfARemovedOneHasNoneOfItsEntries) {
  remote_.MakeDirs("/node/d");
  List();
  const InodeNo before = InodeOf("d");
  ASSERT_TRUE(fs().Create(Soon(), before, "f", 0644, O_WRONLY).ok());
  List(before);
  ASSERT_TRUE(fs().Unlink(Soon(), before, "f").ok());
  ASSERT_TRUE(fs().RemoveDirectory(Soon(), kRootInode, "d").ok());
  ASSERT_TRUE(fs().MakeDirectory(Soon(), kRootInode, "d", 0755).ok());
  EXPECT_NE(InodeOf("d"), before);
  EXPECT_EQ(List(InodeOf("d")).taken.size(), 2U);
}

TEST_F(Memory, AFailedChangeLeavesNothingToBelieve) {
  remote_.WriteFile("/node/f", "");
  List();
  remote_.script().OnNextCall(FakeOp::kRemoveFile, Fault::ReplyLost());
  EXPECT_FALSE(fs().Unlink(Soon(), kRootInode, "f").ok());
  EXPECT_EQ(CodeOf(Look("f")), Code::kNotFound);
}

TEST_F(Memory, AMadeNameIsNewsForItsDirectorysTimes) {
  remote_.MakeDirs("/node/d");
  const InodeNo directory = List().At("d").inode;
  remote_.AdvanceClock(50);
  ASSERT_TRUE(fs().Create(Soon(), directory, "f", 0644, O_WRONLY).ok());
  EXPECT_EQ(Attributes(directory).st_mtim.tv_sec, remote_.AttributesOf("/node/d").mtime);
}

TEST_F(Memory, WhileTheLinkIsDownWhatWasThereIsToldButNotWhatWasNot) {
  std::atomic<bool> up{true};
  options_.reachable = [&] { return up.load(); };
  options_.attribute_ttl = std::chrono::milliseconds(20);
  remote_.WriteFile("/node/f", "12345");
  List();
  up = false;
  std::this_thread::sleep_for(std::chrono::milliseconds(25));  // past the life of everything
  EXPECT_EQ(Cost([&] {
              EXPECT_EQ(fs().KnownEntry(kRootInode, "f")->attributes.st_size, 5);
              EXPECT_FALSE(fs().KnownEntry(kRootInode, "missing").has_value());
              const DirectoryHandle handle = fs().OpenDirectory(Soon(), kRootInode).value();
              ListSink sink;
              EXPECT_TRUE(fs().ReadKnownDirectory(handle, 0, false, sink).has_value());
              EXPECT_EQ(sink.taken.size(), 3U);
            }),
            0U);
}

TEST_F(Memory, AWalkIsListedAheadToTheBottom) {
  options_.listing_threads = 2;
  for (int d = 0; d < 6; ++d) {
    for (int e = 0; e < 6; ++e) {
      remote_.WriteFile("/node/d" + std::to_string(d) + "/e" + std::to_string(e) + "/f", "1");
    }
  }
  List();
  List(InodeOf("d0"));
  ASSERT_TRUE(WaitForListings(1 + 6 + 36));
  EXPECT_EQ(Cost([&] {
              for (int d = 0; d < 6; ++d) {
                const std::string name = "d" + std::to_string(d);
                EXPECT_EQ(List(InodeOf(name)).taken.size(), 8U);
                for (int e = 0; e < 6; ++e) {
                  EXPECT_EQ(List(InodeOf(name + "/e" + std::to_string(e))).taken.size(), 3U);
                }
              }
            }),
            0U);
}

TEST_F(Memory, OneDirectoryListedAloneIsNoWalk) {
  options_.listing_threads = 2;
  for (int d = 0; d < 6; ++d) {
    remote_.MakeDirs("/node/d" + std::to_string(d));
  }
  List();
  List();
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  EXPECT_EQ(remote_.script().count(FakeOp::kReadDirectory), 1U);
}

TEST_F(Memory, TheSecondLookupOfADirectoryHasItListed) {
  options_.listing_threads = 1;
  remote_.WriteFile("/node/a", "");
  remote_.WriteFile("/node/b", "");
  ASSERT_TRUE(Look("a").ok());
  EXPECT_EQ(remote_.script().count(FakeOp::kReadDirectory), 0U);
  ASSERT_TRUE(Look("b").ok());
  ASSERT_TRUE(WaitForListings(1));
  while (!fs().KnownEntry(kRootInode, "c")) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(Cost([&] { EXPECT_EQ(CodeOf(Look("d")), Code::kNotFound); }), 0U);
}

TEST_F(Memory, WhoGoesThroughAnOldListingNameByNameDoesNotWaitForEach) {
  options_.attribute_ttl = std::chrono::milliseconds(200);
  for (int i = 100; i < 300; ++i) {
    remote_.WriteFile("/node/" + std::to_string(i), "1");
  }
  List();
  std::this_thread::sleep_for(std::chrono::milliseconds(210));
  remote_.script().ForgetCalls();
  ASSERT_TRUE(Look("100").ok());
  ASSERT_TRUE(Look("101").ok());
  EXPECT_EQ(remote_.script().count(FakeOp::kLstat), 1U + 1U + 8U);  // a real server is asked for the nine together
  EXPECT_TRUE(fs().KnownEntry(kRootInode, "109").has_value());
  EXPECT_FALSE(fs().KnownEntry(kRootInode, "110").has_value());
}

TEST_F(Memory, DirectoriesInUseAreListedAgainInTimeAndOthersAreNot) {
  options_.listing_threads = 2;
  options_.attribute_ttl = std::chrono::milliseconds(400);
  remote_.WriteFile("/node/f", "1");
  List();
  ASSERT_TRUE(WaitForListings(4));
  remote_.WriteFile("/node/f", "1234567");
  const std::size_t listings = remote_.script().count(FakeOp::kReadDirectory);
  ASSERT_TRUE(WaitForListings(listings + 2));
  EXPECT_EQ(remote_.script().count(FakeOp::kLstat), 0U);
  EXPECT_EQ(Look("f")->attributes.st_size, 7);
}

TEST_F(Memory, WhatIsListedWhileTheDirectoryIsRenamedIsNotBelieved) {
  options_.listing_threads = 1;
  options_.attribute_ttl = std::chrono::milliseconds(800);
  remote_.WriteFile("/node/a/f", "1");
  const InodeNo directory = InodeOf("a");
  List(directory);
  remote_.script().Hold(FakeOp::kRename, FaultScript::HoldPoint::kAfterDoing);
  std::jthread renamer(
      [&] { EXPECT_TRUE(fs().Rename(Soon(), kRootInode, "a", kRootInode, "b", RenameMode::kReplace).ok()); });
  ASSERT_TRUE(remote_.script().WaitUntilHeld(FakeOp::kRename, 1));
  remote_.MakeDirs("/node/a");  // what the path leads to now has nothing in it
  // None comes when the last one met the rename: it was not believed either.
  static_cast<void>(WaitForListings(remote_.script().count(FakeOp::kReadDirectory) + 1));
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  remote_.script().Release(FakeOp::kRename);
  renamer.join();
  EXPECT_EQ(List(directory).names(), (std::vector<std::string>{".", "..", "f"}));
}

TEST_F(Memory, AListingIsOfTheDirectoryThatWasOpenedWhateverTakesItsPlace) {
  remote_.WriteFile("/node/a/f", "1");
  remote_.WriteFile("/node/other/g", "1");
  const InodeNo directory = InodeOf("a");
  remote_.script().OnNextCall(
      FakeOp::kReadDirectory, Fault::Do([&] {
        EXPECT_TRUE(fs().Rename(Soon(), kRootInode, "a", kRootInode, "b", RenameMode::kReplace).ok());
        EXPECT_TRUE(fs().Rename(Soon(), kRootInode, "other", kRootInode, "a", RenameMode::kReplace).ok());
      }));
  EXPECT_EQ(List(directory).names(), (std::vector<std::string>{".", "..", "f"}));
  EXPECT_EQ(List(InodeOf("a")).names(), (std::vector<std::string>{".", "..", "g"}));
}

}  // namespace
}  // namespace bt
