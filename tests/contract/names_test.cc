// Names are bytes, and as long as the server takes them.
#include "tests/contract/contract_test.h"

namespace bt::contract {
namespace {

BT_CONTRACT_SUITE(Names, FullBackends);

std::vector<std::string> OddNames() {
  std::vector<std::string> names{" ",
                                 " leading and trailing ",
                                 "line\nbreak",
                                 "\n",
                                 "tab\t",
                                 "\r",
                                 "\x1b[31mred",
                                 "\x7f",
                                 "\xff",
                                 "\xff\xfe\x80",
                                 "\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80",
                                 "u\xcc\x88",
                                 "back\\slash",
                                 "\"double\" and 'single'",
                                 "$HOME `id` *?[a] ~ !",
                                 "-rf",
                                 "--",
                                 "...",
                                 ".hidden",
                                 "a:b;c|d&e>f<g",
                                 "%s%n",
                                 "CON",
                                 std::string(255, 'x'),
                                 std::string(254, '\xff') + "\n"};
  return names;
}

TEST_P(Names, OfAnyBytesWorkEverywhere) {
  for (const std::string& name : OddNames()) {
    const RemotePath path = root() / Name::Parse(name).value();
    const RemotePath moved = P("moved");
    {
      const auto file = Open(path, kCreateNew);
      ASSERT_TRUE(file) << name;
      EXPECT_TRUE(Succeeds(WriteAt(*file, 0, name)));
    }
    EXPECT_TRUE(server().Exists(path)) << name;
    EXPECT_EQ(List(root()), std::set<std::string>{name});
    EXPECT_EQ(MustLstat(path).size, name.size());
    EXPECT_TRUE(Succeeds(fs().SetAttributes(Ctx(), path, PermissionsChange(0600))));
    EXPECT_EQ(fs().RealPath(Ctx(), path.text()).value(), path);
    EXPECT_TRUE(Succeeds(fs().Rename(Ctx(), path, moved, RenameMode::kReplace)));
    EXPECT_EQ(server().ReadFile(moved), name);
    EXPECT_TRUE(Succeeds(fs().MakeHardLink(Ctx(), moved, path)));
    EXPECT_TRUE(Succeeds(fs().RemoveFile(Ctx(), moved)));
    EXPECT_TRUE(Succeeds(fs().RemoveFile(Ctx(), path)));
    EXPECT_TRUE(Succeeds(fs().MakeDirectory(Ctx(), path, 0755)));
    EXPECT_TRUE(List(path).empty());
    EXPECT_TRUE(Succeeds(fs().RemoveDirectory(Ctx(), path)));
    EXPECT_TRUE(Succeeds(fs().MakeSymlink(Ctx(), path, name)));
    EXPECT_EQ(fs().ReadLink(Ctx(), path).value(), name);
    EXPECT_TRUE(Succeeds(fs().RemoveFile(Ctx(), path)));
  }
}

TEST_P(Names, OddOnesAreListedTogether) {
  std::set<std::string> names;
  for (const std::string& name : OddNames()) {
    server().WriteFile(root() / Name::Parse(name).value(), "");
    names.insert(name);
  }
  EXPECT_EQ(List(root()), names);
}

TEST_P(Names, ThatDifferInCaseOrFormAreDifferent) {
  for (const char* name : {"a", "A", "\xc3\xbc", "u\xcc\x88"}) {
    ASSERT_TRUE(Open(P(name), kCreateNew)) << name;
  }
  EXPECT_EQ(List(root()).size(), 4U);
}

// A path below the root of exactly `bytes` bytes, made of directories that are as long as they may be.
RemotePath LongPath(const RemotePath& root, std::size_t bytes) {
  std::string text = root.text();
  while (text.size() < bytes) {
    std::size_t component = std::min<std::size_t>(bytes - text.size() - 1, 255);
    // Not a lone slash at the end.
    if (bytes - text.size() - 1 - component == 1) {
      --component;
    }
    text += "/" + std::string(component, 'd');
  }
  return RemotePath::Parse(text).value();
}

TEST_P(Names, PathAsLongAsAServerTakesWorks) {
  const RemotePath path = LongPath(root(), 4095);
  ASSERT_EQ(path.text().size(), 4095U);
  for (std::size_t slash = path.text().find('/', root().text().size() + 1); slash != std::string::npos;
       slash = path.text().find('/', slash + 1)) {
    const RemotePath parent = RemotePath::Parse(path.text().substr(0, slash)).value();
    ASSERT_TRUE(Succeeds(fs().MakeDirectory(Ctx(), parent, 0755)));
  }
  const auto file = Open(path, kCreateNew);
  ASSERT_TRUE(file);
  EXPECT_TRUE(Succeeds(WriteAt(*file, 0, "deep")));
  EXPECT_EQ(MustLstat(path).size, 4U);
  EXPECT_EQ(List(path.parent()), std::set<std::string>{std::string(path.basename())});
}

TEST_P(Names, PathThatIsTooLongIsAnError) {
  const RemotePath path = LongPath(root(), 4096);
  server().WriteFile(P("a"), "x");
  EXPECT_TRUE(Fails(fs().MakeDirectory(Ctx(), path, 0755), Code::kNameTooLong));
  EXPECT_TRUE(Fails(fs().MakeSymlink(Ctx(), path, "target"), Code::kNameTooLong));
  EXPECT_TRUE(Fails(fs().MakeHardLink(Ctx(), P("a"), path), Code::kNameTooLong));
  EXPECT_TRUE(Fails(fs().Open(Ctx(), path, kCreate, 0644), Code::kNameTooLong));
  EXPECT_TRUE(Fails(fs().Open(Ctx(), path, kCreateNew, 0644), Code::kNameTooLong));
  EXPECT_TRUE(Fails(fs().Rename(Ctx(), P("a"), path, RenameMode::kReplace), Code::kNameTooLong));
  EXPECT_TRUE(Fails(fs().Rename(Ctx(), P("a"), path, RenameMode::kNoReplace), Code::kNameTooLong));
  EXPECT_EQ(server().ReadFile(P("a")), "x");
}

TEST_P(Names, LookingAtAPathThatIsTooLongIsAnError) {
  const RemotePath path = LongPath(root(), 4096);
  EXPECT_TRUE(Fails(fs().Lstat(Ctx(), path), Code::kNameTooLong));
  EXPECT_TRUE(Fails(fs().Stat(Ctx(), path), Code::kNameTooLong));
  EXPECT_TRUE(Fails(fs().ReadDirectory(Ctx(), path), Code::kNameTooLong));
  EXPECT_TRUE(Fails(fs().ReadLink(Ctx(), path), Code::kNameTooLong));
  EXPECT_TRUE(Fails(fs().SetAttributes(Ctx(), path, PermissionsChange(0644)), Code::kNameTooLong));
  EXPECT_TRUE(Fails(fs().RemoveFile(Ctx(), path), Code::kNameTooLong));
  EXPECT_TRUE(Fails(fs().RemoveDirectory(Ctx(), path), Code::kNameTooLong));
  EXPECT_TRUE(Fails(fs().Open(Ctx(), path, kRead, 0), Code::kNameTooLong));
}

TEST_P(Names, SymlinkTextThatIsTooLongIsAnError) {
  EXPECT_TRUE(Fails(fs().MakeSymlink(Ctx(), P("link"), std::string(4096, 't')), Code::kNameTooLong));
  EXPECT_FALSE(server().Exists(P("link")));
}

}  // namespace
}  // namespace bt::contract
