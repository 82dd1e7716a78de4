#include "transport/access/user_files.h"

#include <sys/stat.h>

#include <gtest/gtest.h>

#include "tests/unit/access/test_server.h"

namespace bt::access {
namespace {

TEST(DefaultRemote, IsTheStampedName) {
  EXPECT_EQ(ParseDefaultRemote("x = 1\nDEFAULT_REMOTE = \"prod\"\ny = 2\n"), "prod");
  EXPECT_EQ(ParseDefaultRemote("DEFAULT_REMOTE='prod' # comment"), "prod");
  EXPECT_EQ(ParseDefaultRemote("DEFAULT_REMOTE\t=\t\"a b\"\r\n"), "a b");
}

TEST(DefaultRemote, IsNoneWhereNothingWasStamped) {
  for (const char* text :
       {"", "DEFAULT_REMOTE = \"\"\n", "DEFAULT_REMOTE = \"{{DEFAULT_REMOTE}}\"\n", "# DEFAULT_REMOTE = \"x\"\n",
        "DEFAULT_REMOTE = \"x", "DEFAULT_REMOTE = x\n", "DEFAULT_REMOTE",
        "DEFAULT_REMOTE =", "    elif DEFAULT_REMOTE:\n", "NO_DEFAULT_REMOTE = \"x\""}) {
    EXPECT_EQ(ParseDefaultRemote(text), std::nullopt) << text;
  }
}

TEST(Profiles, AreReadTolerantly) {
  const Result<Profiles> profiles = ParseProfiles(
      R"({"version":1,"current":"p","new":[],"profiles":{"p":{"api_key":"k","x":1},"q":{"api_key":7},"r":"?"}})");
  ASSERT_TRUE(profiles.ok());
  EXPECT_EQ(profiles->current, "p");
  EXPECT_EQ(profiles->by_name.at("p").api_key, "k");
  EXPECT_EQ(profiles->by_name.at("q").api_key, "");
  EXPECT_FALSE(profiles->by_name.contains("r"));
}

TEST(Profiles, OfAnUnknownShapeAreRefused) {
  for (const char* bad : {"", "[]", "{", "7", R"({"version":2})", R"({"version":"1"})"}) {
    EXPECT_FALSE(ParseProfiles(bad).ok()) << bad;
  }
}

TEST(UserFile, IsReadWholeOrNotAtAll) {
  const testing::TempDirectory directory;
  const std::string text(100'000, 'x');
  EXPECT_EQ(*ReadUserFile(directory.Write("file", text)), text);
  EXPECT_EQ(*ReadUserFile(directory.Write("empty", "")), "");
  EXPECT_EQ(*ReadUserFile(directory.path() + "/none"), std::nullopt);
  EXPECT_EQ(*ReadUserFile(directory.path() + "/file/none"), std::nullopt);
  EXPECT_FALSE(ReadUserFile(directory.path()).ok());
  EXPECT_FALSE(ReadUserFile(directory.Write("large", std::string(2'000'000, 'x'))).ok());
  const std::string fifo = directory.path() + "/fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_EQ(*ReadUserFile(fifo), "");  // above all it does not wait for a writer
}

}  // namespace
}  // namespace bt::access
