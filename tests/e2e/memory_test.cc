// What a program waits for: requests are counted on the server's side of the link, not times.
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iostream>
#include <thread>

#include <fmt/format.h>

#include "tests/e2e/mounted_workspace.h"
#include "tests/e2e/tree.h"

namespace bt::e2e {
namespace {

namespace fs = std::filesystem;

using std::chrono::milliseconds;
using std::chrono::seconds;

// Names that are 16 levels of nothing else: a tree of `width` directories on each of `depth` levels, with files.
void MakeTree(const fs::path& directory, int depth, int width, int files) {
  fs::create_directories(directory);
  for (int f = 0; f < files; ++f) {
    WriteFile(directory / fmt::format("file-{}", f), "content");
  }
  for (int d = 0; depth > 0 && d < width; ++d) {
    MakeTree(directory / fmt::format("dir-{}", d), depth - 1, width, files);
  }
}

class MetadataMemory : public MountedWorkspace {
 protected:
  void SeeWhatOthersDo(int rounds);
  std::uint64_t Requests(const std::string& name) {
    const auto counted = service().counters().sftp.requests;
    const auto found = counted.find(name);
    return found == counted.end() ? 0 : found->second;
  }
  static int Lstat(const fs::path& path, struct stat& found) { return ::lstat(path.c_str(), &found) == 0 ? 0 : errno; }
  // Polls until `seen` or for ten seconds; how long it took.
  template <typename Seen>
  milliseconds Until(Seen seen) {
    const auto start = std::chrono::steady_clock::now();
    while (!seen() && std::chrono::steady_clock::now() - start < seconds(10)) {
      std::this_thread::sleep_for(milliseconds(5));
    }
    return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - start);
  }
};

TEST_F(MetadataMemory, LookingUpNamesOfAListedDirectoryAsksTheServerNothing) {
  MakeTree(server() / "d", 0, 0, 300);
  ASSERT_EQ(Shell("ls -l $M/d > /dev/null").exit_code, 0);
  const std::uint64_t before = Requests("lstat");
  struct stat found {};
  for (int f = 0; f < 300; ++f) {
    ASSERT_EQ(Lstat(mount() / "d" / fmt::format("file-{}", f), found), 0);
    ASSERT_EQ(found.st_size, 7);
    ASSERT_EQ(Lstat(mount() / "d" / fmt::format("missing-{}", f), found), ENOENT);
  }
  // A slow machine may let the listing grow too old in between; one request a name is what must not be.
  EXPECT_LE(Requests("lstat") - before, 20U);
}

TEST_F(MetadataMemory, AWalkWaitsForLevelsNotForDirectories) {
  MakeTree(server() / "tree", 3, 4, 3);  // 85 directories on 4 levels
  service().SetRtt(milliseconds(40));
  const std::uint64_t turns = service().counters().sftp.turns;
  const std::uint64_t lists = Requests("opendir");
  const Finished found = Shell("find $M/tree | wc -l");
  ASSERT_EQ(found.out, "340\n") << found.all();  // and 255 files
  const std::uint64_t taken = service().counters().sftp.turns - turns;
  std::cout << fmt::format("{} round trips, {} listings for 85 directories\n", taken, Requests("opendir") - lists);
  EXPECT_LE(taken, 60U);  // two a directory would be 170
  service().SetRtt(milliseconds(0));
}

TEST_F(MetadataMemory, WhatIsDoneHereIsSeenAtOnce) {
  MakeTree(server() / "d", 1, 2, 20);
  const Finished done = Shell(R"sh(
    cd $M/d; ls -lR > /dev/null
    for i in $(seq 20); do
      echo $i > new-$i; [ "$(cat new-$i)" = $i ]; [ "$(stat -c %s new-$i)" = $((${#i} + 1)) ]
      echo more >> new-$i; [ "$(stat -c %s new-$i)" = $((${#i} + 6)) ]
      chmod 600 file-0; [ "$(stat -c %a file-0)" = 600 ]; chmod 644 file-0; [ "$(stat -c %a file-0)" = 644 ]
      mv new-$i moved-$i; [ ! -e new-$i ]; [ -e moved-$i ]
      ln -s moved-$i link-$i; [ -L link-$i ]; rm link-$i; [ ! -L link-$i ]
      mv -f moved-$i target; [ "$(stat -c %s target)" = $((${#i} + 6)) ]; [ ! -e moved-$i ]
      mkdir sub; [ -d sub ]; touch sub/f; [ -e sub/f ]; rm sub/f; rmdir sub; [ ! -e sub ]
      touch -d @$((1000000 + i)) target; [ "$(stat -c %Y target)" = $((1000000 + i)) ]
      mv dir-0 dir-x; [ -e dir-x/file-3 ]; [ ! -e dir-0 ]; [ "$(ls dir-x | wc -l)" = 20 ]; mv dir-x dir-0
      [ "$(ls | wc -l)" = $((20 + 2 + 1)) ]
    done)sh");
  EXPECT_EQ(done.exit_code, 0) << done.all();
}

TEST_F(MetadataMemory, AnOpenFileBelowARenamedDirectoryGoesOn) {
  MakeTree(server() / "a/b", 0, 0, 3);
  const Finished done = Shell(R"sh(
    ls -lR $M/a > /dev/null
    exec 3< $M/a/b/file-1 4>> $M/a/b/file-2
    mv $M/a $M/z
    [ "$(cat <&3)" = content ]; echo more >&4; exec 4>&-
    [ "$(stat -c %s $M/z/b/file-2)" = 12 ]; [ ! -e $M/a ]; [ "$(ls $M/z/b | wc -l)" = 3 ]
    mkdir -p $M/a/b; [ "$(ls $M/a/b | wc -l)" = 0 ])sh");
  EXPECT_EQ(done.exit_code, 0) << done.all();
}

void MetadataMemory::SeeWhatOthersDo(int rounds) {
  MakeTree(server() / "many", 0, 0, 5000);
  MakeTree(server() / "some", 2, 5, 2);
  service().SetRtt(milliseconds(20));
  ASSERT_EQ(Shell("ls -lR $M > /dev/null").exit_code, 0);
  constexpr milliseconds kPromised(1200);
  milliseconds worst(0);
  int late = 0;
  struct stat found {};
  for (int i = 0; i < rounds; ++i) {
    const fs::path name = fmt::format("some/dir-{}/by-the-job", i % 4);
    EXPECT_EQ(Lstat(mount() / name, found), ENOENT);
    WriteFile(server() / name, "1");
    const auto made = Until([&] { return Lstat(mount() / name, found) == 0; });
    WriteFile(server() / name, "12345");
    const auto changed = Until([&] { return Lstat(mount() / name, found) == 0 && found.st_size == 5; });
    fs::remove(server() / name);
    const auto removed = Until([&] { return Lstat(mount() / name, found) == ENOENT; });
    const fs::path big = fmt::format("many/by-the-job-{}", i);
    WriteFile(server() / big, "1");
    const auto among_many = Until([&] { return Lstat(mount() / big, found) == 0; });
    for (const auto seen : {made, changed, removed, among_many}) {
      worst = std::max(worst, seen);
      late += seen > kPromised ? 1 : 0;
    }
  }
  std::cout << fmt::format("{} changes by others, seen after at most {} ms, {} of them after more than {} ms\n",
                           4 * rounds, worst.count(), late, kPromised.count());
  EXPECT_LE(worst, milliseconds(3000));  // a busy machine is given more than what is promised
  service().SetRtt(milliseconds(0));
}

TEST_F(MetadataMemory, WhatOthersDoIsSeenSoonWhileThousandsOfEntriesAreCached) { SeeWhatOthersDo(4); }

using SoakMetadataMemory = MetadataMemory;

TEST_F(SoakMetadataMemory, WhatOthersDoIsSeenSoonWhileThousandsOfEntriesAreCached) { SeeWhatOthersDo(50); }

TEST_F(MetadataMemory, NobodyAsksTheServerAnythingWhenNobodyUsesTheMount) {
  MakeTree(server() / "tree", 2, 4, 5);
  ASSERT_EQ(Shell("find $M/tree -ls > /dev/null").exit_code, 0);
  const auto quiet = [&] {
    const std::uint64_t before = Requests("opendir") + Requests("lstat");
    std::this_thread::sleep_for(seconds(2));
    return Requests("opendir") + Requests("lstat") == before;
  };
  bool asleep = false;
  for (int i = 0; i < 10 && !asleep; ++i) {
    asleep = quiet();
  }
  EXPECT_TRUE(asleep);
}

}  // namespace
}  // namespace bt::e2e
