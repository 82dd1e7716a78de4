// Symbolic and hard links, and canonical paths.
#include "tests/contract/contract_test.h"

namespace bt::contract {
namespace {

BT_CONTRACT_SUITE(Symlink, FullBackends);

TEST_P(Symlink, KeepsItsTextByteForByte) {
  const std::vector<std::string> texts{"target",
                                       "../a/./b//c/",
                                       "/absolute/path",
                                       "with spaces and\ttab",
                                       "line\nbreak",
                                       "\xc3\xbc\xe2\x82\xac",
                                       "\xff\xfe",
                                       "-rf *",
                                       ".",
                                       "..",
                                       "trailing/",
                                       std::string(255, 'n'),
                                       std::string(300, 'n'),
                                       "a/" + std::string(510, 'b') + "/" + std::string(500, 'c')};
  int number = 0;
  for (const std::string& text : texts) {
    const RemotePath path = P("link" + std::to_string(number++));
    ASSERT_TRUE(Succeeds(fs().MakeSymlink(Ctx(), path, text))) << text;
    const Result<std::string> read = fs().ReadLink(Ctx(), path);
    ASSERT_TRUE(Succeeds(read));
    EXPECT_EQ(read.value(), text);
    const Attributes attributes = MustLstat(path);
    EXPECT_TRUE(attributes.is_symlink());
    EXPECT_EQ(attributes.size, text.size());
    EXPECT_EQ(attributes, server().Lstat(path));
  }
}

TEST_P(Symlink, ReadsWhatTheServerMade) {
  server().MakeLink(P("link"), "some where");
  EXPECT_EQ(fs().ReadLink(Ctx(), P("link")).value(), "some where");
}

TEST_P(Symlink, IsFollowedByTheServer) {
  server().WriteFile(P("file"), "hello");
  ASSERT_TRUE(Succeeds(fs().MakeSymlink(Ctx(), P("link"), "file")));
  EXPECT_EQ(server().ReadFile(P("link")), "hello");
}

TEST_P(Symlink, CannotBeMadeWhereSomethingIs) {
  server().WriteFile(P("file"), "x");
  server().MakeDirectory(P("dir"));
  server().MakeLink(P("dangling"), "nowhere");
  for (const char* name : {"file", "dir", "dangling"}) {
    EXPECT_TRUE(Fails(fs().MakeSymlink(Ctx(), P(name), "target"), Code::kExists)) << name;
  }
  EXPECT_EQ(fs().ReadLink(Ctx(), P("dangling")).value(), "nowhere");
}

TEST_P(Symlink, CannotBeMadeWithoutItsParent) {
  EXPECT_TRUE(Fails(fs().MakeSymlink(Ctx(), P("none/link"), "target"), Code::kNotFound));
}

TEST_P(Symlink, ReadLinkOfAnythingElseIsInvalid) {
  server().WriteFile(P("file"), "x");
  server().MakeDirectory(P("dir"));
  EXPECT_TRUE(Fails(fs().ReadLink(Ctx(), P("file")), Code::kInvalid));
  EXPECT_TRUE(Fails(fs().ReadLink(Ctx(), P("dir")), Code::kInvalid));
  EXPECT_TRUE(Fails(fs().ReadLink(Ctx(), P("none")), Code::kNotFound));
}

TEST_P(Symlink, StatFollowsAndLstatDoesNot) {
  server().WriteFile(P("file"), "12345");
  server().MakeDirectory(P("dir"));
  server().MakeLink(P("to-file"), "file");
  server().MakeLink(P("to-dir"), "dir");
  server().MakeLink(P("to-link"), "to-file");
  EXPECT_TRUE(MustLstat(P("to-file")).is_symlink());
  EXPECT_TRUE(MustLstat(P("to-dir")).is_symlink());
  EXPECT_EQ(fs().Stat(Ctx(), P("to-file")).value(), server().Lstat(P("file")));
  EXPECT_EQ(fs().Stat(Ctx(), P("to-dir")).value(), server().Lstat(P("dir")));
  EXPECT_EQ(fs().Stat(Ctx(), P("to-link")).value(), server().Lstat(P("file")));
  EXPECT_EQ(fs().Stat(Ctx(), P("file")).value(), server().Lstat(P("file")));
}

TEST_P(Symlink, DanglingIsFoundByLstatOnly) {
  server().MakeLink(P("dangling"), "nowhere");
  EXPECT_TRUE(MustLstat(P("dangling")).is_symlink());
  EXPECT_TRUE(Fails(fs().Stat(Ctx(), P("dangling")), Code::kNotFound));
}

TEST_P(Symlink, LoopIsAnError) {
  server().MakeLink(P("a"), "b");
  server().MakeLink(P("b"), "a");
  EXPECT_TRUE(MustLstat(P("a")).is_symlink());
  // OpenSSH has one status for ELOOP and ENOENT.
  EXPECT_FALSE(fs().Stat(Ctx(), P("a")).ok());
  EXPECT_FALSE(fs().Lstat(Ctx(), P("a/below")).ok());
}

TEST_P(Symlink, IsFollowedInTheMiddleOfAPath) {
  server().MakeDirectory(P("d"));
  server().WriteFile(P("d/file"), "12345");
  server().MakeLink(P("link"), "d");
  EXPECT_EQ(MustLstat(P("link/file")).size, 5U);
  ASSERT_TRUE(Succeeds(fs().MakeDirectory(Ctx(), P("link/new"), 0755)));
  EXPECT_TRUE(server().Exists(P("d/new")));
}

BT_CONTRACT_SUITE(HardLink, FullBackends);

TEST_P(HardLink, IsASecondNameOfTheFile) {
  server().WriteFile(P("a"), "hello");
  ASSERT_TRUE(Succeeds(fs().MakeHardLink(Ctx(), P("a"), P("b"))));
  EXPECT_EQ(server().ReadFile(P("b")), "hello");
  server().WriteFile(P("b"), "changed");
  EXPECT_EQ(server().ReadFile(P("a")), "changed");
  ASSERT_TRUE(Succeeds(fs().RemoveFile(Ctx(), P("a"))));
  EXPECT_EQ(server().ReadFile(P("b")), "changed");
}

TEST_P(HardLink, CannotBeMadeWhereSomethingIs) {
  server().WriteFile(P("a"), "x");
  server().WriteFile(P("file"), "y");
  server().MakeDirectory(P("dir"));
  server().MakeLink(P("dangling"), "nowhere");
  for (const char* name : {"file", "dir", "dangling", "a"}) {
    EXPECT_TRUE(Fails(fs().MakeHardLink(Ctx(), P("a"), P(name)), Code::kExists)) << name;
  }
  EXPECT_EQ(server().ReadFile(P("file")), "y");
}

TEST_P(HardLink, OfNothingIsNotFound) {
  server().WriteFile(P("a"), "x");
  EXPECT_TRUE(Fails(fs().MakeHardLink(Ctx(), P("none"), P("b")), Code::kNotFound));
  EXPECT_TRUE(Fails(fs().MakeHardLink(Ctx(), P("a"), P("none/b")), Code::kNotFound));
}

TEST_P(HardLink, OfADirectoryIsRefused) {
  server().MakeDirectory(P("d"));
  const Status status = fs().MakeHardLink(Ctx(), P("d"), P("e"));
  ASSERT_FALSE(status.ok());
  // SFTP has one status for EPERM and EACCES.
  EXPECT_TRUE(status.error().code == Code::kPermissionDenied || status.error().code == Code::kNotPermitted)
      << CodeName(status.error().code);
  EXPECT_FALSE(server().Exists(P("e")));
}

BT_CONTRACT_SUITE(RealPath, FullBackends);

TEST_P(RealPath, OfACanonicalPathIsItself) {
  server().MakeDirectory(P("a/b"));
  EXPECT_EQ(fs().RealPath(Ctx(), P("a/b").text()).value(), P("a/b"));
  EXPECT_EQ(fs().RealPath(Ctx(), "/").value(), RemotePath());
}

TEST_P(RealPath, FoldsDotsAndSlashes) {
  server().MakeDirectory(P("a/b"));
  const std::string root_text = root().text();
  EXPECT_EQ(fs().RealPath(Ctx(), root_text + "//a/./b").value(), P("a/b"));
  EXPECT_EQ(fs().RealPath(Ctx(), root_text + "/a/../a/b/..").value(), P("a"));
}

TEST_P(RealPath, ResolvesSymlinks) {
  server().MakeDirectory(P("a/b"));
  server().MakeLink(P("link"), "a");
  server().MakeLink(P("a/absolute"), P("a/b").text());
  EXPECT_EQ(fs().RealPath(Ctx(), P("link").text()).value(), P("a"));
  EXPECT_EQ(fs().RealPath(Ctx(), P("link/b").text()).value(), P("a/b"));
  EXPECT_EQ(fs().RealPath(Ctx(), P("link/absolute").text()).value(), P("a/b"));
  EXPECT_EQ(fs().RealPath(Ctx(), P("link").text() + "/..").value(), root()) << "up from where the link leads";
}

TEST_P(RealPath, OfARelativePathStartsWhereTheServerStarts) {
  const Result<RemotePath> start = fs().RealPath(Ctx(), ".");
  ASSERT_TRUE(Succeeds(start));
  EXPECT_EQ(fs().RealPath(Ctx(), "").value(), start.value());
  const Name name = Name::Parse("bt-no-such-name").value();
  EXPECT_EQ(fs().RealPath(Ctx(), name.text()).value(), start.value() / name) << "the last component may be missing";
  EXPECT_EQ(fs().RealPath(Ctx(), "..").value(), start->parent());
}

TEST_P(RealPath, ThroughNothingIsNotFound) {
  server().WriteFile(P("file"), "");
  EXPECT_TRUE(Fails(fs().RealPath(Ctx(), P("none/below").text()), Code::kNotFound));
  EXPECT_TRUE(Fails(fs().RealPath(Ctx(), P("file/below").text()), Code::kNotFound));
}

}  // namespace
}  // namespace bt::contract
