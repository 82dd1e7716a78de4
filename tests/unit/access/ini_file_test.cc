#include "transport/access/ini_file.h"

#include <gtest/gtest.h>

namespace bt::access {
namespace {

// The value of `key` in [a], or "<none>", or "<error>".
std::string ValueIn(std::string_view text, const std::string& key) {
  const Result<IniFile> file = IniFile::Parse(text);
  if (!file.ok()) {
    return "<bad file>";
  }
  const auto value = file->Get("a", key);
  return !value.ok() ? "<error>" : value->value_or("<none>");
}

TEST(IniFile, ReadsKeysAsConfigparserDoes) {
  EXPECT_EQ(ValueIn("[a]\nk = v\n", "k"), "v");
  EXPECT_EQ(ValueIn("[a]\nk=v", "k"), "v");
  EXPECT_EQ(ValueIn("[a]\nk: v\n", "k"), "v");
  EXPECT_EQ(ValueIn("[a]\r\nk\t=\t v w \r\n", "k"), "v w");
  EXPECT_EQ(ValueIn("[a]\rk = v\r", "k"), "v");
  EXPECT_EQ(ValueIn("[a]\nKey Two = v\n", "key two"), "v");
  EXPECT_EQ(ValueIn("[a]\nurl = https://x:1/?a=b\n", "url"), "https://x:1/?a=b");
  EXPECT_EQ(ValueIn("[a]\nk =\n", "k"), "");
  EXPECT_EQ(ValueIn("[a]\nk = \"v\"\n", "k"), "\"v\"");
  EXPECT_EQ(ValueIn("\xEF\xBB\xBF[a]\nk = v\n", "k"), "v");
}

TEST(IniFile, KeepsInlineCommentsInTheValue) {
  EXPECT_EQ(ValueIn("[a]\nk = v ; w # x\n", "k"), "v ; w # x");
  EXPECT_EQ(ValueIn("# c\n ; c\n[a]\n# k = no\nk = v\n  # between\n", "k"), "v");
}

TEST(IniFile, TakesLongLines) {
  const std::string value(5000, 'x');
  EXPECT_EQ(ValueIn("# " + value + "\n[a]\nk = " + value + "\n", "k"), value);
}

TEST(IniFile, JoinsDeeperLinesToTheValueAbove) {
  EXPECT_EQ(ValueIn("[a]\nk = v\n  w = x\n\n\ty\n\n", "k"), "v\nw = x\n\ny");
  EXPECT_EQ(ValueIn("[a]\n  k = v\n  w = x\n", "w"), "x");
  EXPECT_EQ(ValueIn("[a]\n  k = v\n [b]\n", "k"), "v");
}

TEST(IniFile, FallsBackToDefault) {
  EXPECT_EQ(ValueIn("[DEFAULT]\nk = d\n[a]\nx = y\n", "k"), "d");
  EXPECT_EQ(ValueIn("[a]\nk = v\n[DEFAULT]\nk = d\n", "k"), "v");
  EXPECT_EQ(ValueIn("[a]\nx = y\n", "k"), "<none>");
}

TEST(IniFile, ResolvesPercentSigns) {
  EXPECT_EQ(ValueIn("[a]\nk = 100%%\n", "k"), "100%");
  EXPECT_EQ(ValueIn("[DEFAULT]\nhost = h\n[a]\nk = <%(HOST)s>%(port)s\nport = 1\n", "k"), "<h>1");
  EXPECT_EQ(ValueIn("[a]\nk = a%b\n", "k"), "<error>");
  EXPECT_EQ(ValueIn("[a]\nk = a%\n", "k"), "<error>");
  EXPECT_EQ(ValueIn("[a]\nk = %(gone)s\n", "k"), "<error>");
  EXPECT_EQ(ValueIn("[a]\nk = %(k)s\n", "k"), "<error>");
  EXPECT_EQ(ValueIn("[a]\nk = %(x\nok = v\n", "ok"), "v");
}

TEST(IniFile, ListsSectionsInOrderWithoutDefault) {
  const Result<IniFile> file = IniFile::Parse("[b]\n[DEFAULT]\n[A]\n[ c ] rest\n[d]e]\n");
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->sections(), (std::vector<std::string>{"b", "A", " c ", "d]e"}));
}

TEST(IniFile, RefusesWhatConfigparserRefusesWithoutShowingIt) {
  for (const char* bad : {"secret = 1\n", "[a]\nsecret\n", "[a]\n= secret\n", "[a]\n[a]\n", "[a]\nk = secret\nK = 2\n",
                          "[a\nsecret = 1\n", "[]\nsecret = 1"}) {
    const Result<IniFile> file = IniFile::Parse(bad);
    ASSERT_FALSE(file.ok()) << bad;
    EXPECT_EQ(file.error().code, Code::kConfig);
    EXPECT_NE(file.error().text.find("line "), std::string::npos);
    EXPECT_EQ(file.error().text.find("secret"), std::string::npos) << file.error().text;
  }
}

TEST(IniFile, BoundsInterpolationThatDoubles) {
  std::string text = "[a]\nk0 = " + std::string(1000, 'x') + "\n";
  for (int i = 1; i < 10; ++i) {
    const std::string part = "%(k" + std::to_string(i - 1) + ")s";
    text += "k" + std::to_string(i) + " = ";
    for (int j = 0; j < 100; ++j) {
      text += part;
    }
    text += "\n";
  }
  EXPECT_EQ(ValueIn(text, "k9"), "<error>");
}

}  // namespace
}  // namespace bt::access
