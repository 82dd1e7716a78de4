// Making, listing and removing directories, and removing files.
#include <thread>

#include "tests/contract/contract_test.h"

namespace bt::contract {
namespace {

BT_CONTRACT_SUITE(Directory, FullBackends);

TEST_P(Directory, IsMadeWithItsPermissions) {
  ASSERT_TRUE(Succeeds(fs().MakeDirectory(Ctx(), P("d"), 0700)));
  EXPECT_EQ(server().Lstat(P("d")).mode, S_IFDIR | 0700U);
  EXPECT_TRUE(MustLstat(P("d")).is_directory());
}

TEST_P(Directory, CannotBeMadeWhereSomethingIs) {
  server().WriteFile(P("file"), "");
  server().MakeDirectory(P("dir"));
  server().MakeLink(P("dangling"), "nowhere");
  for (const char* name : {"file", "dir", "dangling", ""}) {
    EXPECT_TRUE(Fails(fs().MakeDirectory(Ctx(), P(name), 0755), Code::kExists)) << name;
  }
  EXPECT_FALSE(server().Exists(P("nowhere")));
}

TEST_P(Directory, CannotBeMadeWithoutItsParent) {
  server().WriteFile(P("file"), "");
  EXPECT_TRUE(Fails(fs().MakeDirectory(Ctx(), P("none/d"), 0755), Code::kNotFound));
  EXPECT_TRUE(Fails(fs().MakeDirectory(Ctx(), P("file/d"), 0755), Code::kNotFound));
}

TEST_P(Directory, ListsNothingWhenEmpty) { EXPECT_TRUE(List(root()).empty()); }

TEST_P(Directory, ListsItsEntriesWithoutDots) {
  server().WriteFile(P("one"), "1");
  server().WriteFile(P(".two"), "22");
  server().MakeDirectory(P("three"));
  server().WriteFile(P("three/below"), "");
  server().MakeLink(P("four"), "nowhere");
  EXPECT_EQ(List(root()), (std::set<std::string>{"one", ".two", "three", "four"}));
}

TEST_P(Directory, ListsAttributesOfTheEntriesThemselves) {
  server().WriteFile(P("file"), "12345");
  server().MakeDirectory(P("dir"));
  server().MakeLink(P("link"), "file");
  const Result<std::vector<DirEntry>> entries = fs().ReadDirectory(Ctx(), root());
  ASSERT_TRUE(Succeeds(entries));
  ASSERT_EQ(entries->size(), 3U);
  for (const DirEntry& entry : entries.value()) {
    EXPECT_EQ(entry.attributes, server().Lstat(root() / entry.name)) << entry.name.text();
  }
}

TEST_P(Directory, ListsAThousandEntries) {
  std::set<std::string> names;
  for (int i = 0; i < 1000; ++i) {
    names.insert("entry-" + std::to_string(i));
  }
  server().MakeDirectory(P("d"));
  for (const std::string& name : names) {
    server().WriteFile(P("d/" + name), name);
  }
  EXPECT_EQ(List(P("d")), names);
}

TEST_P(Directory, ListsAsManyAsOneReplyHolds) {
  // OpenSSH puts 100 names, "." and ".." among them, into a reply.
  server().MakeDirectory(P("d"));
  std::set<std::string> names;
  for (int i = 0; i < 101; ++i) {
    if (i >= 97) {
      EXPECT_EQ(List(P("d")), names);
    }
    const std::string name = std::to_string(i);
    server().WriteFile(P("d/" + name), "");
    names.insert(name);
  }
}

TEST_P(Directory, ShowsChangesAtOnce) {
  server().WriteFile(P("a"), "");
  EXPECT_EQ(List(root()), std::set<std::string>{"a"});
  server().Move(P("a"), P("b"));
  EXPECT_EQ(List(root()), std::set<std::string>{"b"});
  server().Remove(P("b"));
  EXPECT_TRUE(List(root()).empty());
}

TEST_P(Directory, IsListedThroughASymlink) {
  server().MakeDirectory(P("d"));
  server().WriteFile(P("d/a"), "");
  server().MakeLink(P("link"), "d");
  EXPECT_EQ(List(P("link")), std::set<std::string>{"a"});
}

TEST_P(Directory, ListingWhatIsNotADirectoryIsAnError) {
  server().WriteFile(P("file"), "");
  server().MakeLink(P("link"), "file");
  EXPECT_TRUE(Fails(fs().ReadDirectory(Ctx(), P("file")), Code::kNotDirectory));
  EXPECT_TRUE(Fails(fs().ReadDirectory(Ctx(), P("link")), Code::kNotDirectory));
}

TEST_P(Directory, ListingWhatIsMissingIsNotFound) {
  server().WriteFile(P("file"), "");
  server().MakeLink(P("dangling"), "nowhere");
  EXPECT_TRUE(Fails(fs().ReadDirectory(Ctx(), P("none")), Code::kNotFound));
  EXPECT_TRUE(Fails(fs().ReadDirectory(Ctx(), P("none/d")), Code::kNotFound));
  EXPECT_TRUE(Fails(fs().ReadDirectory(Ctx(), P("file/d")), Code::kNotFound));
  EXPECT_TRUE(Fails(fs().ReadDirectory(Ctx(), P("dangling")), Code::kNotFound));
}

TEST_P(Directory, ThatIsRenamedWhileItIsListedIsMissingOrWhole) {
  // OpenSSH leaves out what is not at the old path any more. Each round moves at another moment of the listing.
  constexpr int kRounds = 300;
  std::set<std::string> names;
  server().MakeDirectory(P("d0"));
  for (int i = 0; i < 250; ++i) {
    names.insert(std::to_string(i));
    server().WriteFile(P("d0/" + std::to_string(i)), "");
  }
  const auto path = [this](int round) { return P("d" + std::to_string(round)); };
  for (int round = 0; round < kRounds; ++round) {
    const std::jthread mover([&] {
      const TimePoint then = Clock::now() + std::chrono::microseconds(round * 5);
      while (Clock::now() < then) {
      }
      server().Move(path(round), path(round + 1));
    });
    const Result<std::vector<DirEntry>> listed = fs().ReadDirectory(Ctx(), path(round));
    if (listed.ok()) {
      ASSERT_EQ(listed->size(), names.size()) << "in round " << round;
    } else {
      ASSERT_TRUE(Fails(listed, Code::kNotFound));
    }
  }
  EXPECT_EQ(List(path(kRounds)), names);
}

TEST_P(Directory, IsRemovedWhenEmpty) {
  server().MakeDirectory(P("d"));
  EXPECT_TRUE(Succeeds(fs().RemoveDirectory(Ctx(), P("d"))));
  EXPECT_FALSE(server().Exists(P("d")));
}

TEST_P(Directory, IsNotRemovedWithEntries) {
  server().MakeDirectory(P("d/below"));
  EXPECT_TRUE(Fails(fs().RemoveDirectory(Ctx(), P("d")), Code::kNotEmpty));
  EXPECT_TRUE(server().Exists(P("d/below")));
}

TEST_P(Directory, RemovingWhatIsNoneIsAnError) {
  server().WriteFile(P("file"), "");
  server().MakeDirectory(P("d"));
  server().MakeLink(P("link"), "d");
  EXPECT_TRUE(Fails(fs().RemoveDirectory(Ctx(), P("file")), Code::kNotDirectory));
  EXPECT_TRUE(Fails(fs().RemoveDirectory(Ctx(), P("link")), Code::kNotDirectory));
  EXPECT_TRUE(Fails(fs().RemoveDirectory(Ctx(), P("none")), Code::kNotFound));
  EXPECT_TRUE(Fails(fs().RemoveDirectory(Ctx(), P("file/d")), Code::kNotFound));
  EXPECT_TRUE(server().Exists(P("d")));
}

BT_CONTRACT_SUITE(RemoveFile, FullBackends);

TEST_P(RemoveFile, RemovesOneName) {
  server().WriteFile(P("a"), "");
  server().WriteFile(P("b"), "");
  EXPECT_TRUE(Succeeds(fs().RemoveFile(Ctx(), P("a"))));
  EXPECT_EQ(List(root()), std::set<std::string>{"b"});
}

TEST_P(RemoveFile, RemovesSymlinksNotTheirTargets) {
  server().WriteFile(P("file"), "");
  server().MakeDirectory(P("dir"));
  for (const char* target : {"file", "dir", "nowhere"}) {
    server().MakeLink(P("link"), target);
    EXPECT_TRUE(Succeeds(fs().RemoveFile(Ctx(), P("link")))) << target;
    EXPECT_EQ(List(root()), (std::set<std::string>{"file", "dir"}));
  }
}

TEST_P(RemoveFile, RefusesDirectories) {
  server().MakeDirectory(P("empty"));
  server().MakeDirectory(P("full/below"));
  EXPECT_TRUE(Fails(fs().RemoveFile(Ctx(), P("empty")), Code::kIsDirectory));
  EXPECT_TRUE(Fails(fs().RemoveFile(Ctx(), P("full")), Code::kIsDirectory));
  EXPECT_TRUE(server().Exists(P("empty")));
}

TEST_P(RemoveFile, OfNothingIsNotFound) {
  server().WriteFile(P("file"), "");
  EXPECT_TRUE(Fails(fs().RemoveFile(Ctx(), P("none")), Code::kNotFound));
  EXPECT_TRUE(Fails(fs().RemoveFile(Ctx(), P("none/a")), Code::kNotFound));
  EXPECT_TRUE(Fails(fs().RemoveFile(Ctx(), P("file/a")), Code::kNotFound));
}

}  // namespace
}  // namespace bt::contract
