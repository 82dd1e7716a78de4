// Nanoseconds of set times: kept by path, and over the end of the process.
#include "fs/set_times.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace bt {
namespace {

RemotePath P(std::string_view text) { return RemotePath::Parse(text).value(); }

SetTimes::Times At(std::int64_t seconds, long nanoseconds) {
  SetTimes::Times times;
  times.atime.tv_sec = times.mtime.tv_sec = seconds;
  times.atime.tv_nsec = times.mtime.tv_nsec = nanoseconds;
  return times;
}

class SetTimesFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "bt-times-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::filesystem::path file() const { return directory_ / "below/times"; }
  std::string Content() const {
    std::ifstream stream(file(), std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  void Replace(const std::string& bytes) const { std::ofstream(file(), std::ios::binary) << bytes; }
  // -1: nothing.
  static long NanosecondsOf(const SetTimes& times, std::string_view path) {
    const auto found = times.Find(P(path));
    return found ? found->mtime.tv_nsec : -1;
  }

  std::filesystem::path directory_;
};

TEST_F(SetTimesFile, IsReadAgainByTheNextMount) {
  {
    SetTimes times(file());
    EXPECT_TRUE(times.empty());
    times.Set(P("/w/a"), At(100, 1));
    times.Set(P("/w/a"), At(100, 2));
    times.Set(P("/w/gone"), At(100, 3));
    times.Forget(P("/w/gone"));
    EXPECT_EQ(NanosecondsOf(times, "/w/a"), 2);
  }
  const SetTimes times(file());
  EXPECT_EQ(NanosecondsOf(times, "/w/a"), 2);
  EXPECT_EQ(times.Find(P("/w/a"))->atime.tv_sec, 100);
  EXPECT_EQ(NanosecondsOf(times, "/w/gone"), -1);
}

TEST_F(SetTimesFile, FollowsRenamesOfFilesAndDirectories) {
  {
    SetTimes times(file());
    times.Set(P("/w/dir"), At(1, 1));
    times.Set(P("/w/dir/f"), At(1, 2));
    times.Set(P("/w/dir/sub/f"), At(1, 3));
    times.Set(P("/w/dir-2"), At(1, 4));
    times.Set(P("/w/new"), At(1, 5));
    times.Moved(P("/w/dir"), P("/w/new"));
    times.Moved(P("/w/nothing"), P("/w/dir-2"));
  }
  const SetTimes times(file());
  EXPECT_EQ(NanosecondsOf(times, "/w/new"), 1);
  EXPECT_EQ(NanosecondsOf(times, "/w/new/f"), 2);
  EXPECT_EQ(NanosecondsOf(times, "/w/new/sub/f"), 3);
  EXPECT_EQ(NanosecondsOf(times, "/w/dir-2"), -1) << "something without such times came to the name";
  EXPECT_EQ(NanosecondsOf(times, "/w/dir"), -1);
  EXPECT_EQ(NanosecondsOf(times, "/w/dir/f"), -1);
}

TEST_F(SetTimesFile, ReadsWhatIsWholeWhereverItWasCut) {
  {
    SetTimes times(file());
    times.Set(P("/w/a"), At(1, 1));
    times.Set(P("/w/b"), At(1, 2));
  }
  const std::string whole = Content();
  std::size_t with_both = 0;
  for (std::size_t length = 0; length <= whole.size(); ++length) {
    Replace(whole.substr(0, length));
    SetTimes times(file());
    const long a = NanosecondsOf(times, "/w/a");
    const long b = NanosecondsOf(times, "/w/b");
    EXPECT_TRUE(a == 1 || (a == -1 && b == -1)) << length;
    EXPECT_TRUE(b == 2 || b == -1) << length;
    with_both += a == 1 && b == 2 ? 1U : 0U;
    times.Set(P("/w/c"), At(1, 3));  // behind what was cut, and read all the same
    EXPECT_EQ(NanosecondsOf(SetTimes(file()), "/w/c"), 3) << length;
  }
  EXPECT_EQ(with_both, 1U);
}

TEST_F(SetTimesFile, BelievesNoFlippedBit) {
  {
    SetTimes times(file());
    times.Set(P("/w/a"), At(1, 1));
  }
  const std::string whole = Content();
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 4);
    Replace(flipped);
    EXPECT_TRUE(SetTimes(file()).empty()) << at;
  }
}

TEST_F(SetTimesFile, IsSharedByTwoMounts) {
  SetTimes one(file());
  SetTimes two(file());
  one.Set(P("/w/a"), At(1, 1));
  two.Set(P("/w/b"), At(1, 2));
  one.Set(P("/w/c"), At(1, 3));
  const SetTimes later(file());
  EXPECT_EQ(NanosecondsOf(later, "/w/a"), 1);
  EXPECT_EQ(NanosecondsOf(later, "/w/b"), 2);
  EXPECT_EQ(NanosecondsOf(later, "/w/c"), 3);
}

TEST_F(SetTimesFile, IsWrittenAnewWithoutWhatIsOutdated) {
  std::uintmax_t grown = 0;
  {
    SetTimes times(file());
    for (int i = 0; i < 3000; ++i) {
      times.Set(P("/w/a"), At(1, i));
    }
    grown = std::filesystem::file_size(file());
  }
  EXPECT_EQ(NanosecondsOf(SetTimes(file()), "/w/a"), 2999);
  EXPECT_LT(std::filesystem::file_size(file()) * 1000, grown);
  EXPECT_EQ(NanosecondsOf(SetTimes(file()), "/w/a"), 2999);
}

TEST_F(SetTimesFile, ThatCannotBeUsedCostsOnlyTheNextMount) {
  std::filesystem::create_directories(file());  // a directory is in the way
  SetTimes times(file());
  times.Set(P("/w/a"), At(1, 1));
  EXPECT_EQ(NanosecondsOf(times, "/w/a"), 1);
}

}  // namespace
}  // namespace bt
