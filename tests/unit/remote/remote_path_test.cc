#include "transport/remote_path.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace bt {
namespace {

using namespace std::string_literals;

RemotePath P(std::string_view text) { return RemotePath::Parse(text).value(); }
Name N(std::string_view text) { return Name::Parse(text).value(); }

TEST(Name, TakesAnyBytesButSlashAndNul) {
  for (const std::string& text : {"a"s, "a b"s, "..."s, "..a"s, ".hidden"s, "-rf"s, "a\nb"s, "\\"s, "\"'`$*?"s,
                                  "\xff\xfe"s, "\x01"s, "gr\xc3\xbc\xc3\x9f"s, "~"s, std::string(255, 'x')}) {
    const Result<Name> name = Name::Parse(text);
    ASSERT_TRUE(name.ok()) << text;
    EXPECT_EQ(name->text(), text);
  }
}

TEST(Name, RefusesWhatCanBeNoName) {
  for (const std::string& text : {""s, "."s, ".."s, "a/b"s, "/"s, "a/"s, "/a"s, "a\0b"s, "\0"s}) {
    const Result<Name> name = Name::Parse(text);
    ASSERT_FALSE(name.ok()) << text;
    EXPECT_EQ(name.error().code, Code::kInvalid) << text;
  }
}

TEST(Name, RefusesMoreThan255Bytes) {
  EXPECT_EQ(Name::Parse(std::string(256, 'x')).error().code, Code::kNameTooLong);
  // Bytes, not characters.
  std::string umlauts;
  for (int i = 0; i < 128; ++i) {
    umlauts += "\xc3\xbc";
  }
  EXPECT_EQ(Name::Parse(umlauts).error().code, Code::kNameTooLong);
}

TEST(Name, TellsWhatCannotBeANameBeforeItsLength) {
  EXPECT_EQ(Name::Parse(std::string(300, 'x') + "/").error().code, Code::kInvalid);
}

TEST(Name, ComparesByBytes) {
  EXPECT_EQ(N("a"), N("a"));
  EXPECT_LT(N("A"), N("a"));
  EXPECT_LT(N("a"), N("aa"));
  EXPECT_LT(N("z"), N("\xc3\xa4"));
}

TEST(RemotePath, IsTheRootAtFirst) {
  EXPECT_EQ(RemotePath().text(), "/");
  EXPECT_TRUE(RemotePath().is_root());
  EXPECT_EQ(RemotePath(), P("/"));
}

TEST(RemotePath, ParsesToANormalForm) {
  struct Row {
    std::string_view text;
    std::string_view normal;
  };
  const std::vector<Row> rows{{"/", "/"},
                              {"//", "/"},
                              {"/.", "/"},
                              {"/./", "/"},
                              {"/a", "/a"},
                              {"/a/", "/a"},
                              {"//a//b//", "/a/b"},
                              {"/a/./b", "/a/b"},
                              {"/a/b/.", "/a/b"},
                              {"/.a/..b/c..", "/.a/..b/c.."},
                              {"/a b/\n", "/a b/\n"},
                              {"/\xff", "/\xff"},
                              {"/...", "/..."}};
  for (const auto& row : rows) {
    const Result<RemotePath> path = RemotePath::Parse(row.text);
    ASSERT_TRUE(path.ok()) << row.text;
    EXPECT_EQ(path->text(), row.normal) << row.text;
    EXPECT_EQ(RemotePath::Parse(path->text()).value(), path.value()) << "the normal form is its own normal form";
  }
}

TEST(RemotePath, RefusesWhatIsNotAbsoluteOrNotNormalisable) {
  for (const std::string& text : {""s, "a"s, "a/b"s, "./a"s, "~"s, "/.."s, "/a/.."s, "/a/../b"s, "/a\0b"s}) {
    const Result<RemotePath> path = RemotePath::Parse(text);
    ASSERT_FALSE(path.ok()) << text;
    EXPECT_EQ(path.error().code, Code::kInvalid) << text;
  }
}

TEST(RemotePath, RefusesAComponentThatIsTooLong) {
  EXPECT_EQ(RemotePath::Parse("/a/" + std::string(256, 'x')).error().code, Code::kNameTooLong);
  EXPECT_TRUE(RemotePath::Parse("/a/" + std::string(255, 'x')).ok());
}

TEST(RemotePath, MayBeLongerThanAServerTakes) {
  std::string text;
  for (int i = 0; i < 20; ++i) {
    text += "/" + std::string(255, 'x');
  }
  EXPECT_EQ(P(text).text(), text);
}

TEST(RemotePath, AppendsANameWithOneSlash) {
  EXPECT_EQ((RemotePath() / N("a")).text(), "/a");
  EXPECT_EQ((P("/a") / N("b")).text(), "/a/b");
}

TEST(RemotePath, ParentUndoesAppending) {
  struct Row {
    std::string_view path;
    std::string_view parent;
    std::string_view basename;
  };
  const std::vector<Row> rows{{"/", "/", ""}, {"/a", "/", "a"}, {"/a/b", "/a", "b"}, {"/a/b/c", "/a/b", "c"}};
  for (const auto& row : rows) {
    EXPECT_EQ(P(row.path).parent().text(), row.parent) << row.path;
    EXPECT_EQ(P(row.path).basename(), row.basename) << row.path;
    EXPECT_EQ(P(row.path).is_root(), row.path == "/") << row.path;
  }
}

TEST(RemotePath, ContainsItselfAndWhatIsBelow) {
  struct Row {
    std::string_view outer;
    std::string_view inner;
    bool contains;
  };
  const std::vector<Row> rows{{"/", "/", true},       {"/", "/a", true},       {"/", "/a/b", true},
                              {"/a", "/", false},     {"/a", "/a", true},      {"/a", "/a/b/c", true},
                              {"/a", "/ab", false},   {"/a", "/b/a", false},   {"/a/b", "/a", false},
                              {"/a/b", "/a/b", true}, {"/a/b", "/a/bc", false}};
  for (const auto& row : rows) {
    EXPECT_EQ(P(row.outer).Contains(P(row.inner)), row.contains) << row.outer << " " << row.inner;
  }
}

TEST(RemotePath, ComparesByBytes) {
  const std::set<RemotePath> paths{P("/b"), P("/a/b"), P("/a"), P("/a/b/"), P("/")};
  std::vector<std::string> texts;
  texts.reserve(paths.size());
  for (const RemotePath& path : paths) {
    texts.push_back(path.text());
  }
  EXPECT_EQ(texts, (std::vector<std::string>{"/", "/a", "/a/b", "/b"}));
}

}  // namespace
}  // namespace bt
