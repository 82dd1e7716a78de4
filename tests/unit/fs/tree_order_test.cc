#include "fs/tree_order.h"

#include <gtest/gtest.h>

#include <map>

namespace bt {
namespace {

Name N(std::string_view text) { return Name::Parse(text).value(); }

// A root with the directories a, b, c and d (inodes 10 to 13), each with one file, all listings known.
class TreeOrderTest : public testing::Test {
 protected:
  TreeOrderTest() {
    std::vector<DirEntry> directories;
    InodeNo number{10};
    for (const char* name : {"a", "b", "c", "d"}) {
      Attributes directory;
      directory.mode = S_IFDIR | 0755U;
      directories.push_back({N(name), directory});
      Attributes file;
      file.mode = S_IFREG | 0644U;
      listings_[number] = std::make_shared<Listing>(now_, std::vector<DirEntry>{{N("f"), file}});
      places_.emplace(number, InodeTable::Place{kRootInode, N(name)});
      number = InodeNo{static_cast<std::uint64_t>(number) + 1};
    }
    listings_[kRootInode] = std::make_shared<Listing>(now_, directories);
  }
  std::vector<std::uint64_t> Used(std::uint64_t directory) {
    now_ += std::chrono::milliseconds(10);
    std::vector<std::uint64_t> numbers;
    for (const TreeOrder::Next& next : order_.Used(InodeNo{directory}, now_)) {
      numbers.push_back(static_cast<std::uint64_t>(next.directory));
    }
    return numbers;
  }

  TimePoint now_ = Clock::now();
  std::map<InodeNo, std::shared_ptr<const Listing>> listings_;
  std::map<InodeNo, InodeTable::Place> places_;
  TreeOrder order_{TreeOrder::Tree{
      .listing = [this](InodeNo number) { return listings_.contains(number) ? listings_.at(number) : nullptr; },
      .place = [this](InodeNo number) -> std::optional<InodeTable::Place> {
        const auto found = places_.find(number);
        return found == places_.end() ? std::nullopt : std::optional(found->second);
      },
      .subdirectory = [this](InodeNo parent, const Name& name) -> std::optional<InodeNo> {
        for (const auto& [number, place] : places_) {
          if (place.parent == parent && place.name == name) {
            return number;
          }
        }
        return std::nullopt;
      }}};
};

TEST_F(TreeOrderTest, OneDirectoryIsNoOrder) {
  EXPECT_EQ(Used(10), std::vector<std::uint64_t>());
  EXPECT_EQ(Used(10), std::vector<std::uint64_t>());
}

TEST_F(TreeOrderTest, TheNextOneTellsThoseThatFollow) {
  Used(10);
  EXPECT_EQ(Used(11), (std::vector<std::uint64_t>{11, 12, 13}));
}

TEST_F(TreeOrderTest, ThoseAfterManyFilesAreToldLater) {
  Attributes file;
  file.mode = S_IFREG | 0644U;
  std::vector<DirEntry> files;
  for (int i = 0; i < 200; ++i) {
    files.push_back({N("f" + std::to_string(i)), file});
  }
  listings_[InodeNo{12}] = std::make_shared<Listing>(now_, files);
  Used(10);
  EXPECT_EQ(Used(11), (std::vector<std::uint64_t>{11, 12}));
  EXPECT_EQ(Used(12), std::vector<std::uint64_t>());
  EXPECT_EQ(Used(13), std::vector<std::uint64_t>{13});
}

TEST_F(TreeOrderTest, EachIsToldOnce) {
  Used(10);
  Used(11);
  EXPECT_EQ(Used(12), std::vector<std::uint64_t>());
}

TEST_F(TreeOrderTest, APauseEndsTheOrder) {
  Used(10);
  now_ += std::chrono::seconds(6);
  EXPECT_EQ(Used(11), std::vector<std::uint64_t>());
}

TEST_F(TreeOrderTest, OneWhoseListingIsNotKnownIsLeftOut) {
  listings_.erase(InodeNo{12});
  Used(10);
  EXPECT_EQ(Used(11), (std::vector<std::uint64_t>{11, 13}));
}

}  // namespace
}  // namespace bt
