#include "fs/read_order.h"

#include <gtest/gtest.h>

namespace bt {
namespace {

using Names = std::vector<std::string>;

class Order : public testing::Test {
 protected:
  // "z00" .. in the order of the numbers given.
  void List(const std::vector<int>& numbers) {
    std::vector<DirEntry> entries;
    entries.push_back(DirEntry{Name::Parse("directory").value(), Attributes{.mode = S_IFDIR | 0755U}});
    for (const int number : numbers) {
      entries.push_back(DirEntry{Name::Parse(NameOf(number)).value(), Attributes{.mode = S_IFREG | 0644U}});
    }
    listing_ = std::make_shared<const Listing>(start_, std::move(entries));
  }
  static std::string NameOf(int number) {
    return std::string(1, 'z') + (number < 10 ? "0" : "") + std::to_string(number);
  }
  Names Open(int number, int seconds = 0) {
    Names names;
    for (const DirEntry& entry :
         order_.Used(kRootInode, listing_, NameOf(number), start_ + std::chrono::seconds(seconds))) {
      names.push_back(entry.name.text());
    }
    return names;
  }

  ReadOrder order_{ReadOrder::Kinds::kRegularFiles, 64};
  std::shared_ptr<const Listing> listing_;
  const TimePoint start_ = Clock::now();
};

TEST_F(Order, OneFileIsNone) {
  List({1, 2, 3});
  EXPECT_TRUE(Open(1).empty());
}

TEST_F(Order, TheSecondFileByNameTellsWhichAreNext) {
  List({5, 3, 1, 4, 2});
  Open(1);
  EXPECT_EQ(Open(2), (Names{"z03", "z04", "z05"}));
}

TEST_F(Order, TheSecondFileAsListedTellsWhichAreNext) {
  List({5, 3, 1, 4, 2});
  Open(5);
  EXPECT_EQ(Open(3), (Names{"z01", "z04", "z02"}));
}

TEST_F(Order, EachIsToldOnceAndMoreAndMoreAhead) {
  std::vector<int> numbers;
  for (int i = 0; i < 99; ++i) {
    numbers.push_back(i);
  }
  List(numbers);
  Open(0);
  EXPECT_EQ(Open(1).size(), 8U);
  EXPECT_EQ(Open(2).front(), "z10");
  for (int i = 3; i < 20; ++i) {
    Open(i);
  }
  EXPECT_EQ(Open(20), (Names{"z84"}));
  List(numbers);  // listed again: the same way goes on
  EXPECT_EQ(Open(21), (Names{"z85"}));
}

TEST_F(Order, GoesOnAfterWhatWasTold) {
  List({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20});
  Open(1);
  EXPECT_EQ(Open(2).back(), "z10");
  EXPECT_EQ(Open(11).back(), "z20");
}

TEST_F(Order, FilesHereAndThereAreNone) {
  List({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16});
  Open(1);
  EXPECT_TRUE(Open(9).empty());
  EXPECT_TRUE(Open(3).empty());
  EXPECT_TRUE(Open(16).empty());
}

TEST_F(Order, ALongTimeAgoIsNone) {
  List({1, 2, 3});
  Open(1);
  EXPECT_TRUE(Open(2, 60).empty());
}

}  // namespace
}  // namespace bt
