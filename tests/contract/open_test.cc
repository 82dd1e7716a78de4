// Opening, creating and truncating files.
#include "tests/contract/contract_test.h"

namespace bt::contract {
namespace {

BT_CONTRACT_SUITE(Opening, FullBackends);

TEST_P(Opening, TellsTheAttributesOfTheFile) {
  server().WriteFile(P("a"), "hello");
  const Result<OpenedFile> opened = fs().Open(Ctx(), P("a"), kRead, 0);
  ASSERT_TRUE(Succeeds(opened));
  EXPECT_EQ(opened->attributes, server().Lstat(P("a")));
}

TEST_P(Opening, OfNothingIsNotFound) {
  EXPECT_TRUE(Fails(fs().Open(Ctx(), P("none"), kRead, 0), Code::kNotFound));
  EXPECT_TRUE(Fails(fs().Open(Ctx(), P("none"), kReadWrite, 0), Code::kNotFound));
  EXPECT_TRUE(Fails(fs().Open(Ctx(), P("none/a"), kCreate, 0644), Code::kNotFound));
  EXPECT_FALSE(server().Exists(P("none")));
}

TEST_P(Opening, ThroughAFileIsNotFound) {
  server().WriteFile(P("a"), "");
  EXPECT_TRUE(Fails(fs().Open(Ctx(), P("a/b"), kRead, 0), Code::kNotFound));
  EXPECT_TRUE(Fails(fs().Open(Ctx(), P("a/b"), kCreate, 0644), Code::kNotFound));
}

TEST_P(Opening, OfADirectoryIsAnError) {
  server().MakeDirectory(P("d"));
  EXPECT_TRUE(Fails(fs().Open(Ctx(), P("d"), kRead, 0), Code::kIsDirectory));
  EXPECT_TRUE(Fails(fs().Open(Ctx(), P("d"), kReadWrite, 0), Code::kIsDirectory));
  EXPECT_TRUE(Fails(fs().Open(Ctx(), P("d"), kCreate, 0644), Code::kIsDirectory));
  EXPECT_TRUE(Fails(fs().Open(Ctx(), P("d"), kRewrite, 0644), Code::kIsDirectory));
  EXPECT_TRUE(Fails(fs().Open(Ctx(), P("d"), kCreateNew, 0644), Code::kExists));
}

TEST_P(Opening, CreatesWhatIsMissing) {
  const Result<OpenedFile> opened = fs().Open(Ctx(), P("a"), kCreate, 0640);
  ASSERT_TRUE(Succeeds(opened));
  EXPECT_EQ(opened->attributes.size, 0U);
  EXPECT_EQ(opened->attributes.mode, S_IFREG | 0640U);
  EXPECT_EQ(server().Lstat(P("a")).mode, S_IFREG | 0640U);
}

TEST_P(Opening, CreatesWithTheServersUmask) {
  // Group and others may lose bits that the owner keeps.
  ASSERT_TRUE(Open(P("a"), kCreate, 0777));
  const std::uint32_t mode = server().Lstat(P("a")).mode;
  EXPECT_EQ(mode & 0700U, 0700U);
  EXPECT_EQ(mode & 0777U, MustLstat(P("a")).mode & 0777U);
}

TEST_P(Opening, MakesAFileThatItsOwnerCannotWriteAndWritesIt) {
  const auto file = Open(P("a"), kCreateNew, 0400);
  ASSERT_TRUE(file);
  EXPECT_TRUE(Succeeds(WriteAt(*file, 0, "x")));
  EXPECT_EQ(server().Lstat(P("a")).mode, S_IFREG | 0400U);
  EXPECT_EQ(server().ReadFile(P("a")), "x");
}

TEST_P(Opening, CreateKeepsWhatExists) {
  server().WriteFile(P("a"), "hello");
  const std::uint32_t mode = server().Lstat(P("a")).mode;
  const Result<OpenedFile> opened = fs().Open(Ctx(), P("a"), kCreate, 0600);
  ASSERT_TRUE(Succeeds(opened));
  EXPECT_EQ(opened->attributes.size, 5U);
  EXPECT_EQ(server().ReadFile(P("a")), "hello");
  EXPECT_EQ(server().Lstat(P("a")).mode, mode);
}

TEST_P(Opening, TruncatesWhatExists) {
  server().WriteFile(P("a"), "hello");
  const Result<OpenedFile> opened = fs().Open(Ctx(), P("a"), kRewrite, 0600);
  ASSERT_TRUE(Succeeds(opened));
  EXPECT_EQ(opened->attributes.size, 0U);
  EXPECT_EQ(server().ReadFile(P("a")), "");
}

TEST_P(Opening, TruncateDoesNotCreate) {
  EXPECT_TRUE(Fails(fs().Open(Ctx(), P("a"), OpenFlags{.write = true, .truncate = true}, 0644), Code::kNotFound));
  EXPECT_FALSE(server().Exists(P("a")));
}

TEST_P(Opening, ExclusiveCreateMakesAFile) {
  ASSERT_TRUE(Open(P("a"), kCreateNew));
  EXPECT_TRUE(server().Exists(P("a")));
}

TEST_P(Opening, ExclusiveCreateRefusesWhatExists) {
  server().WriteFile(P("file"), "hello");
  server().MakeDirectory(P("dir"));
  server().MakeLink(P("link"), "file");
  server().MakeLink(P("dangling"), "nowhere");
  for (const char* name : {"file", "dir", "link", "dangling"}) {
    EXPECT_TRUE(Fails(fs().Open(Ctx(), P(name), kCreateNew, 0644), Code::kExists)) << name;
  }
  OpenFlags also_truncate = kCreateNew;
  also_truncate.truncate = true;
  EXPECT_TRUE(Fails(fs().Open(Ctx(), P("file"), also_truncate, 0644), Code::kExists));
  EXPECT_EQ(server().ReadFile(P("file")), "hello");
  EXPECT_FALSE(server().Exists(P("nowhere")));
}

TEST_P(Opening, FollowsSymlinks) {
  server().MakeDirectory(P("d"));
  server().WriteFile(P("d/target"), "hello");
  server().MakeLink(P("link"), "d/target");
  server().MakeLink(P("d/again"), "../link");
  const Result<OpenedFile> opened = fs().Open(Ctx(), P("d/again"), kRead, 0);
  ASSERT_TRUE(Succeeds(opened));
  EXPECT_TRUE(opened->attributes.is_regular());
  EXPECT_EQ(opened->attributes.size, 5U);
  EXPECT_EQ(ReadAt(*opened->file, 0, 100), "hello");
}

TEST_P(Opening, CreatesWhereADanglingSymlinkPoints) {
  server().MakeLink(P("link"), "target");
  const auto file = Open(P("link"), kCreate);
  ASSERT_TRUE(file);
  EXPECT_TRUE(Succeeds(WriteAt(*file, 0, "x")));
  EXPECT_EQ(server().ReadFile(P("target")), "x");
  EXPECT_TRUE(server().Lstat(P("link")).is_symlink());
}

TEST_P(Opening, OfALoopIsAnError) {
  server().MakeLink(P("a"), "b");
  server().MakeLink(P("b"), "a");
  // OpenSSH has one status for ELOOP and ENOENT.
  EXPECT_FALSE(fs().Open(Ctx(), P("a"), kRead, 0).ok());
  EXPECT_FALSE(fs().Open(Ctx(), P("a"), kCreate, 0644).ok());
}

}  // namespace
}  // namespace bt::contract
