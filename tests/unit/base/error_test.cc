#include "transport/base/error.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>
#include <string>

namespace bt {
namespace {

TEST(Error, EveryCodeHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (int code = 0; code <= static_cast<int>(Code::kInternal); ++code) {
    const std::string_view name = CodeName(static_cast<Code>(code));
    EXPECT_NE(name, "unknown") << code;
    EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz-"), std::string_view::npos) << name;
    EXPECT_TRUE(names.insert(name).second) << name;
  }
}

TEST(Error, CodeNamesAreStable) {
  EXPECT_EQ(CodeName(Code::kNotFound), "not-found");
  EXPECT_EQ(CodeName(Code::kTooManyHandles), "too-many-handles");
  EXPECT_EQ(CodeName(Code::kInternal), "internal");
}

TEST(Error, WithinPutsWhatWasDoneBeforeTheText) {
  const Error error = Error{Code::kNoSpace, "the disk is full", "sftp.write", Fate::kUnknown}.Within("write /a");
  EXPECT_EQ(error.text, "write /a: the disk is full");
  EXPECT_EQ(error.code, Code::kNoSpace);
  EXPECT_EQ(error.tag, "sftp.write");
  EXPECT_EQ(error.fate, Fate::kUnknown);
}

TEST(Error, WithinUsesTheCodeWhereThereIsNoText) {
  EXPECT_EQ((Error{Code::kNotFound, "", ""}.Within("stat /a").text), "stat /a: not-found");
}

TEST(Error, WithinNestsFromTheOutsideIn) {
  EXPECT_EQ((Error{Code::kFailure, "no", ""}.Within("open").Within("mount").text), "mount: open: no");
}

TEST(Error, DescribeShowsTextAndTag) {
  EXPECT_EQ(Describe(Error{Code::kFailure, "it broke", "a.b"}), "it broke [a.b]");
  EXPECT_EQ(Describe(Error{Code::kFailure, "it broke", ""}), "it broke");
  EXPECT_EQ(Describe(Error{Code::kFailure, "", "a.b"}), "failure [a.b]");
  EXPECT_EQ(Describe(Error{Code::kFailure, "", ""}), "failure");
}

TEST(Error, SystemTextSaysWhatAnErrnoMeans) { EXPECT_EQ(SystemText(ENOENT), "No such file or directory"); }

TEST(Error, IsAnAnswerUnlessSaidOtherwise) { EXPECT_EQ(Error{}.fate, Fate::kAnswered); }

}  // namespace
}  // namespace bt
