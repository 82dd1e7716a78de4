#include "fs/fuse/mount_point.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "fs/fuse/mount_table.h"

namespace bt::fuse {
namespace {

namespace fs = std::filesystem;

class MountPointTest : public testing::Test {
 protected:
  MountPointTest() {
    std::string name = (fs::temp_directory_path() / "bt-mount-point-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  ~MountPointTest() override { fs::remove_all(directory_); }

  fs::path directory_;
};

std::string TagOf(const Error& error) { return error.tag; }

TEST_F(MountPointTest, TakesAnEmptyDirectoryAndTellsItsRealPath) {
  fs::create_directory(directory_ / "real");
  fs::create_directory_symlink(directory_ / "real", directory_ / "link");
  const auto place = PrepareMountPoint(directory_ / "link" / "", false);
  ASSERT_TRUE(place.ok());
  EXPECT_EQ(*place, fs::canonical(directory_ / "real"));
}

TEST_F(MountPointTest, SaysThatItIsMissing) {
  const auto place = PrepareMountPoint(directory_ / "none", false);
  ASSERT_FALSE(place.ok());
  EXPECT_EQ(place.error().code, Code::kConfig);
  EXPECT_EQ(TagOf(place.error()), "mount.missing");
  EXPECT_NE(place.error().text.find("mkdir -p"), std::string::npos);
}

TEST_F(MountPointTest, SaysThatItIsAFile) {
  std::ofstream(directory_ / "file") << "x";
  const auto place = PrepareMountPoint(directory_ / "file", true);
  ASSERT_FALSE(place.ok());
  EXPECT_EQ(TagOf(place.error()), "mount.not-directory");
}

TEST_F(MountPointTest, RefusesANonEmptyDirectoryUnlessAllowed) {
  std::ofstream(directory_ / "file") << "x";
  const auto refused = PrepareMountPoint(directory_, false);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(TagOf(refused.error()), "mount.not-empty");
  EXPECT_TRUE(PrepareMountPoint(directory_, true).ok());
}

TEST_F(MountPointTest, SaysThatTheDeviceIsMissing) {
  const Status status = CheckDevice(directory_ / "fuse");
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(TagOf(status.error()), "mount.no-device");
}

TEST_F(MountPointTest, AllowOtherNeedsALineForOrdinaryUsers) {
  const fs::path config = directory_ / "fuse.conf";
  EXPECT_TRUE(CheckAllowOther(0, config).ok());
  EXPECT_FALSE(CheckAllowOther(1000, config).ok());
  std::ofstream(config) << "# comment\n#user_allow_other\n";
  EXPECT_FALSE(CheckAllowOther(1000, config).ok());
  std::ofstream(config, std::ios::app) << "user_allow_other \n";
  EXPECT_TRUE(CheckAllowOther(1000, config).ok());
}

TEST(MountTable, ReadsLinesAndUnescapesPaths) {
  const auto entries = ParseMountInfo(
      "22 27 0:21 / /sys rw,nosuid shared:7 master:2 - sysfs sysfs rw\n"
      "nonsense\n"
      "\n"
      "90 22 0:48 / /home/a\\040b/\\134x rw,nosuid,nodev - fuse.bt-mount job/0:/b10\\040w rw,user_id=0\n");
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].fs_type, "sysfs");
  EXPECT_EQ(entries[1].mount_point, "/home/a b/\\x");
  EXPECT_EQ(entries[1].fs_type, kFsType);
  EXPECT_EQ(entries[1].source, "job/0:/b10 w");
  EXPECT_EQ(entries[1].options, "rw,nosuid,nodev");
  EXPECT_EQ(entries[1].connection(), 48U);
}

TEST(MountTable, KnowsProcAndNotItsNeighbour) {
  EXPECT_TRUE(IsMountPoint("/proc"));
  EXPECT_FALSE(IsMountPoint("/proc/self"));
}

}  // namespace
}  // namespace bt::fuse
