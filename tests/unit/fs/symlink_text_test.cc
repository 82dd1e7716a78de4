#include "fs/symlink_text.h"

#include <gtest/gtest.h>

namespace bt {
namespace {

struct Row {
  std::string_view directory;  // of the link
  std::string_view text;       // on the server
  std::string_view shown;
};

class ShownSymlinkInWork : public ::testing::TestWithParam<Row> {};

TEST_P(ShownSymlinkInWork, IsAsExpected) {
  const Row& row = GetParam();
  EXPECT_EQ(ShownSymlink(row.text, RemotePath::Parse(row.directory).value(), RemotePath::Parse("/b10/work").value()),
            row.shown);
}

INSTANTIATE_TEST_SUITE_P(
    Table, ShownSymlinkInWork,
    ::testing::Values(Row{"/b10/work", "file", "file"},                    // relative: as it is
                      Row{"/b10/work/a", "../../../etc", "../../../etc"},  // climbing too
                      Row{"/b10/work", "", ""},                            //
                      Row{"/b10/work", "./x//y/", "./x//y/"},              //
                      Row{"/b10/work", "/b10/work/file", "file"},          // inside: relative to the link
                      Row{"/b10/work/a", "/b10/work/file", "../file"},     //
                      Row{"/b10/work/a/b", "/b10/work/a/c/d", "../c/d"},   //
                      Row{"/b10/work/a/b", "/b10/work/a/b", "."},          //
                      Row{"/b10/work/a/b", "/b10/work", "../.."},          //
                      Row{"/b10/work", "/b10/work", "."},                  //
                      Row{"/b10/work", "/b10/work/", "."},                 //
                      Row{"/b10/work", "//b10/./work//dir/", "dir/"},      //
                      Row{"/b10/work/a", "/b10/work/a/../b", "../b"},      // see below
                      Row{"/b10/work", "/b10/work/a/../b", "a/../b"},      // ".." is kept: a may be a link
                      Row{"/b10/work", "/b10/worker", ".outside-the-mount/b10/worker"},
                      Row{"/b10/work", "/etc/passwd", ".outside-the-mount/etc/passwd"},
                      Row{"/b10/work", "/", ".outside-the-mount/"}, Row{"/b10/work", "/b10", ".outside-the-mount/b10"},
                      Row{"/b10/work", "/b10/work/../other", ".outside-the-mount/b10/work/../other"},
                      Row{"/b10/work", "/b10/work/a/../../x", ".outside-the-mount/b10/work/a/../../x"},
                      Row{"/b10/work", "/b10/work/..a", "..a"}));

TEST(ShownSymlink, KeepsEverythingInsideWhenTheRootIsMounted) {
  EXPECT_EQ(ShownSymlink("/etc/passwd", RemotePath::Parse("/usr/lib").value(), RemotePath()), "../../etc/passwd");
  EXPECT_EQ(ShownSymlink("/", RemotePath(), RemotePath()), ".");
}

TEST(StoredSymlink, TakesTheMarkOfAnOutsideLinkAway) {
  EXPECT_EQ(StoredSymlink(".outside-the-mount/etc/passwd"), "/etc/passwd");
  EXPECT_EQ(StoredSymlink("/etc/passwd"), "/etc/passwd");
  EXPECT_EQ(StoredSymlink("a/.outside-the-mount/etc"), "a/.outside-the-mount/etc");
  EXPECT_EQ(StoredSymlink(".outside-the-mountain/x"), ".outside-the-mountain/x");
  EXPECT_EQ(StoredSymlink(".outside-the-mount"), ".outside-the-mount");
}

}  // namespace
}  // namespace bt
