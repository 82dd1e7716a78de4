// Renaming, in both modes.
#include <array>

#include "tests/contract/contract_test.h"

namespace bt::contract {
namespace {

constexpr std::array kBothModes{RenameMode::kReplace, RenameMode::kNoReplace};

class RenameTest : public ContractTest {
 protected:
  Status Rename(std::string_view from, std::string_view to, RenameMode mode = RenameMode::kReplace) {
    return fs().Rename(Ctx(), P(from), P(to), mode);
  }
};

class Renaming : public RenameTest {};
INSTANTIATE_TEST_SUITE_P(, Renaming, testing::ValuesIn(FullBackends()), KindName);

TEST_P(Renaming, MovesAFile) {
  server().MakeDirectory(P("d"));
  for (const RenameMode mode : kBothModes) {
    server().WriteFile(P("a"), "hello");
    const Attributes before = server().Lstat(P("a"));
    EXPECT_TRUE(Succeeds(Rename("a", "d/b", mode)));
    EXPECT_FALSE(server().Exists(P("a")));
    EXPECT_EQ(server().ReadFile(P("d/b")), "hello");
    EXPECT_EQ(server().Lstat(P("d/b")).mtime, before.mtime);
    server().Remove(P("d/b"));
  }
}

TEST_P(Renaming, MovesADirectoryWithItsContent) {
  server().MakeDirectory(P("to"));
  for (const RenameMode mode : kBothModes) {
    server().MakeDirectory(P("from/d"));
    server().WriteFile(P("from/d/a"), "hello");
    EXPECT_TRUE(Succeeds(Rename("from/d", "to/e", mode)));
    EXPECT_FALSE(server().Exists(P("from/d")));
    EXPECT_EQ(server().ReadFile(P("to/e/a")), "hello");
    server().Remove(P("to/e"));
  }
}

TEST_P(Renaming, MovesASymlinkNotItsTarget) {
  for (const RenameMode mode : kBothModes) {
    for (const char* target : {"file", "nowhere"}) {
      server().WriteFile(P("file"), "hello");
      server().MakeLink(P("link"), target);
      EXPECT_TRUE(Succeeds(Rename("link", "moved", mode)));
      EXPECT_EQ(fs().ReadLink(Ctx(), P("moved")).value(), target);
      EXPECT_TRUE(server().Exists(P("file")));
      server().Remove(P("moved"));
    }
  }
}

TEST_P(Renaming, ReplacesAFile) {
  server().WriteFile(P("a"), "new");
  server().WriteFile(P("b"), "old");
  const auto old = Open(P("b"), kRead);
  ASSERT_TRUE(old);
  EXPECT_TRUE(Succeeds(Rename("a", "b")));
  EXPECT_EQ(server().ReadFile(P("b")), "new");
  EXPECT_FALSE(server().Exists(P("a")));
  EXPECT_EQ(ReadAt(*old, 0, 10), "old") << "who has the replaced file open keeps it";
}

TEST_P(Renaming, ReplacesASymlinkNotItsTarget) {
  server().WriteFile(P("a"), "new");
  server().WriteFile(P("target"), "target");
  server().MakeLink(P("link"), "target");
  EXPECT_TRUE(Succeeds(Rename("a", "link")));
  EXPECT_TRUE(server().Lstat(P("link")).is_regular());
  EXPECT_EQ(server().ReadFile(P("target")), "target");
}

TEST_P(Renaming, ReplacesAnEmptyDirectoryByADirectory) {
  server().MakeDirectory(P("d"));
  server().WriteFile(P("d/a"), "hello");
  server().MakeDirectory(P("empty"));
  EXPECT_TRUE(Succeeds(Rename("d", "empty")));
  EXPECT_EQ(server().ReadFile(P("empty/a")), "hello");
  EXPECT_FALSE(server().Exists(P("d")));
}

TEST_P(Renaming, DoesNotReplaceADirectoryWithEntries) {
  server().MakeDirectory(P("d"));
  server().MakeDirectory(P("full/below"));
  EXPECT_TRUE(Fails(Rename("d", "full"), Code::kNotEmpty));
  EXPECT_TRUE(server().Exists(P("d")));
  EXPECT_TRUE(server().Exists(P("full/below")));
}

TEST_P(Renaming, DoesNotReplaceADirectoryByAFile) {
  server().WriteFile(P("file"), "");
  server().MakeLink(P("link"), "file");
  server().MakeDirectory(P("empty"));
  server().MakeDirectory(P("full/below"));
  EXPECT_TRUE(Fails(Rename("file", "empty"), Code::kIsDirectory));
  EXPECT_TRUE(Fails(Rename("file", "full"), Code::kIsDirectory));
  EXPECT_TRUE(Fails(Rename("link", "empty"), Code::kIsDirectory));
  EXPECT_TRUE(server().Exists(P("file")));
}

TEST_P(Renaming, DoesNotReplaceAFileByADirectory) {
  server().WriteFile(P("file"), "x");
  server().MakeDirectory(P("d"));
  server().MakeLink(P("link"), "d");
  EXPECT_TRUE(Fails(Rename("d", "file"), Code::kNotDirectory));
  EXPECT_TRUE(Fails(Rename("d", "link"), Code::kNotDirectory));
  EXPECT_EQ(server().ReadFile(P("file")), "x");
}

TEST_P(Renaming, DoesNotMoveADirectoryIntoItself) {
  server().MakeDirectory(P("d/below"));
  for (const RenameMode mode : kBothModes) {
    EXPECT_TRUE(Fails(Rename("d", "d/new", mode), Code::kInvalid));
    EXPECT_TRUE(Fails(Rename("d", "d/below/new", mode), Code::kInvalid));
  }
  EXPECT_TRUE(server().Exists(P("d/below")));
}

TEST_P(Renaming, DoesNotReplaceItsOwnAncestor) {
  server().MakeDirectory(P("d/below"));
  EXPECT_TRUE(Fails(Rename("d/below", "d"), Code::kNotEmpty));
  EXPECT_TRUE(server().Exists(P("d/below")));
}

TEST_P(Renaming, OfNothingIsNotFound) {
  server().WriteFile(P("a"), "x");
  for (const RenameMode mode : kBothModes) {
    EXPECT_TRUE(Fails(Rename("none", "b", mode), Code::kNotFound));
    EXPECT_TRUE(Fails(Rename("none/a", "b", mode), Code::kNotFound));
    EXPECT_TRUE(Fails(Rename("a/below", "b", mode), Code::kNotFound));
  }
  EXPECT_TRUE(Fails(Rename("none", "a"), Code::kNotFound));
  EXPECT_EQ(server().ReadFile(P("a")), "x");
}

TEST_P(Renaming, IntoNothingIsNotFound) {
  server().WriteFile(P("a"), "x");
  for (const RenameMode mode : kBothModes) {
    EXPECT_TRUE(Fails(Rename("a", "none/b", mode), Code::kNotFound));
  }
  EXPECT_EQ(server().ReadFile(P("a")), "x");
}

TEST_P(Renaming, OntoItselfChangesNothing) {
  server().WriteFile(P("a"), "x");
  server().MakeDirectory(P("d/below"));
  EXPECT_TRUE(Succeeds(Rename("a", "a")));
  EXPECT_TRUE(Succeeds(Rename("d", "d")));
  EXPECT_EQ(server().ReadFile(P("a")), "x");
  EXPECT_TRUE(server().Exists(P("d/below")));
  EXPECT_TRUE(Fails(Rename("a", "a", RenameMode::kNoReplace), Code::kExists));
  EXPECT_EQ(server().ReadFile(P("a")), "x");
}

TEST_P(Renaming, OntoAnotherNameOfTheSameFileKeepsBoth) {
  server().WriteFile(P("a"), "x");
  ASSERT_TRUE(Succeeds(fs().MakeHardLink(Ctx(), P("a"), P("b"))));
  EXPECT_TRUE(Succeeds(Rename("a", "b")));
  EXPECT_EQ(List(root()), (std::set<std::string>{"a", "b"}));
}

TEST_P(Renaming, NoReplaceRefusesWhatExists) {
  server().WriteFile(P("file"), "target");
  server().MakeDirectory(P("dir"));
  server().MakeLink(P("link"), "file");
  server().MakeLink(P("dangling"), "nowhere");
  server().WriteFile(P("a"), "source");
  server().MakeDirectory(P("d/below"));
  server().MakeLink(P("l"), "a");
  for (const char* target : {"file", "dir", "link", "dangling"}) {
    EXPECT_TRUE(Fails(Rename("a", target, RenameMode::kNoReplace), Code::kExists)) << target;
    if (target == std::string_view("dangling")) {
      continue;
    }
    EXPECT_TRUE(Fails(Rename("d", target, RenameMode::kNoReplace), Code::kExists)) << target;
    EXPECT_TRUE(Fails(Rename("l", target, RenameMode::kNoReplace), Code::kExists)) << target;
  }
  EXPECT_EQ(List(root()), (std::set<std::string>{"file", "dir", "link", "dangling", "a", "d", "l"}));
  EXPECT_EQ(server().ReadFile(P("file")), "target");
  EXPECT_EQ(fs().ReadLink(Ctx(), P("dangling")).value(), "nowhere");
}

TEST_P(Renaming, NoReplaceOfASymlinkRefusesADanglingSymlink) {
  if (!traits().no_replace_sees_dangling_links) {
    GTEST_SKIP() << "OpenSSH's plain rename does not see it";
  }
  server().MakeLink(P("l"), "a");
  server().MakeLink(P("dangling"), "nowhere");
  EXPECT_TRUE(Fails(Rename("l", "dangling", RenameMode::kNoReplace), Code::kExists));
  EXPECT_EQ(fs().ReadLink(Ctx(), P("dangling")).value(), "nowhere");
}

class BareRenaming : public RenameTest {};
INSTANTIATE_TEST_SUITE_P(, BareRenaming, testing::ValuesIn(BareBackends()), KindName);

TEST_P(BareRenaming, MovesToAFreeName) {
  server().WriteFile(P("a"), "x");
  server().MakeDirectory(P("d/below"));
  EXPECT_TRUE(Succeeds(Rename("a", "b")));
  EXPECT_TRUE(Succeeds(Rename("b", "c", RenameMode::kNoReplace)));
  EXPECT_TRUE(Succeeds(Rename("d", "e")));
  EXPECT_EQ(server().ReadFile(P("c")), "x");
  EXPECT_TRUE(server().Exists(P("e/below")));
}

TEST_P(BareRenaming, NeverLosesTheTarget) {
  // Without posix-rename@openssh.com nothing replaces atomically, and nothing is removed to make room.
  server().WriteFile(P("a"), "new");
  server().WriteFile(P("b"), "old");
  EXPECT_TRUE(Fails(Rename("a", "b"), Code::kExists));
  EXPECT_EQ(server().ReadFile(P("a")), "new");
  EXPECT_EQ(server().ReadFile(P("b")), "old");
}

TEST_P(BareRenaming, OfNothingIsNotFound) {
  server().WriteFile(P("b"), "old");
  EXPECT_TRUE(Fails(Rename("none", "b"), Code::kNotFound));
  EXPECT_TRUE(Fails(Rename("none", "c"), Code::kNotFound));
}

}  // namespace
}  // namespace bt::contract
