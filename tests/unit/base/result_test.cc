#include "transport/base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bt {
namespace {

Error Failed(std::string text = "no") { return Error{Code::kFailure, std::move(text), "test"}; }

TEST(Result, HoldsAValue) {
  const Result<int> result = 7;
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(static_cast<bool>(result));
  EXPECT_EQ(result.value(), 7);
  EXPECT_EQ(*result, 7);
}

TEST(Result, HoldsAnError) {
  const Result<int> result = Failed("because");
  ASSERT_FALSE(result.ok());
  EXPECT_FALSE(static_cast<bool>(result));
  EXPECT_EQ(result.error().text, "because");
}

TEST(Result, VoidIsSuccessUnlessAnErrorIsGiven) {
  EXPECT_TRUE(Status().ok());
  const Status failed = Failed();
  EXPECT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code, Code::kFailure);
}

TEST(Result, TakesWhatConvertsToItsValue) {
  const Result<std::string> text = "a literal";
  EXPECT_EQ(text.value(), "a literal");
  const Result<std::optional<int>> maybe = 3;
  EXPECT_EQ(maybe.value(), 3);
  const Result<std::unique_ptr<const int>> pointer = std::make_unique<int>(5);
  EXPECT_EQ(*pointer.value(), 5);
}

TEST(Result, GivesAccessToMembersOfItsValue) {
  Result<std::string> text = std::string("abc");
  EXPECT_EQ(text->size(), 3U);
  text->push_back('d');
  EXPECT_EQ(*text, "abcd");
}

TEST(Result, ValueCanBeMovedOut) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(9);
  const std::unique_ptr<int> owned = std::move(result).value();
  EXPECT_EQ(*owned, 9);
}

TEST(Result, ErrorCanBeMovedOut) {
  Result<int> result = Failed("a text that is too long for the small string optimisation");
  const Error error = std::move(result).error();
  EXPECT_EQ(error.text, "a text that is too long for the small string optimisation");
}

TEST(Result, CopiesAreIndependent) {
  Result<std::vector<int>> first = std::vector<int>{1, 2};
  Result<std::vector<int>> second = first;
  second->push_back(3);
  EXPECT_EQ(first->size(), 2U);
  EXPECT_EQ(second->size(), 3U);
  second = Failed();
  EXPECT_TRUE(first.ok());
  EXPECT_FALSE(second.ok());
}

Result<int> Half(int number) {
  if (number % 2 != 0) {
    return Failed(std::to_string(number) + " is odd");
  }
  return number / 2;
}

Result<int> Quarter(int number) {
  const int half = TRY(Half(number));
  return Half(half);
}

TEST(Try, YieldsTheValue) { EXPECT_EQ(Quarter(12).value(), 3); }

TEST(Try, ReturnsTheError) { EXPECT_EQ(Quarter(6).error().text, "3 is odd"); }

Result<std::string> Describe(int number) { return std::to_string(TRY(Half(number))); }

TEST(Try, CarriesAnErrorIntoAResultOfAnotherType) {
  EXPECT_EQ(Describe(4).value(), "2");
  EXPECT_EQ(Describe(5).error().text, "5 is odd");
}

Status CheckAll(const std::vector<int>& numbers, int& checked) {
  for (const int number : numbers) {
    TRY(Half(number));
    ++checked;
  }
  return {};
}

TEST(Try, StopsAtTheFirstErrorAsAStatement) {
  int checked = 0;
  EXPECT_FALSE(CheckAll({2, 4, 5, 6}, checked).ok());
  EXPECT_EQ(checked, 2);
  EXPECT_TRUE(CheckAll({2, 4}, checked).ok());
}

Result<std::unique_ptr<int>> Make(bool good) {
  if (!good) {
    return Failed("nothing made");
  }
  return std::make_unique<int>(42);
}

Result<std::unique_ptr<int>> Pass(bool good) {
  std::unique_ptr<int> made = TRY(Make(good));
  ++*made;
  return made;
}

TEST(Try, MovesValuesThatCannotBeCopied) {
  EXPECT_EQ(*Pass(true).value(), 43);
  EXPECT_EQ(Pass(false).error().text, "nothing made");
}

Result<int> Sum(int a, int b) { return TRY(Half(a)) + TRY(Half(b)); }

TEST(Try, WorksTwiceInOneExpression) {
  EXPECT_EQ(Sum(2, 4).value(), 3);
  EXPECT_EQ(Sum(2, 3).error().text, "3 is odd");
}

}  // namespace
}  // namespace bt
