#include "fs/attribute_view.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace bt {
namespace {

FilesystemOptions Options() {
  FilesystemOptions options;
  options.uid = 1000;
  options.gid = 1001;
  options.remote_uid = 0;
  options.remote_gid = 7;
  return options;
}

Attributes FileOf(std::uint32_t uid, std::uint32_t gid, std::uint32_t mode) {
  return {.size = 1000, .uid = uid, .gid = gid, .mode = mode, .atime = 5, .mtime = 6};
}

TEST(AttributeView, MapsTheRemoteUserToTheMountingUserAndBack) {
  const AttributeView view(Options());
  EXPECT_EQ(view.ShownUid(0), 1000U);
  EXPECT_EQ(view.ShownGid(7), 1001U);
  EXPECT_EQ(view.RemoteUid(1000), 0U);
  EXPECT_EQ(view.RemoteGid(1001), 7U);
}

TEST(AttributeView, LeavesOtherNumbersAlone) {
  const AttributeView view(Options());
  EXPECT_EQ(view.ShownUid(33), 33U);
  EXPECT_EQ(view.ShownGid(0), 0U);
  EXPECT_EQ(view.RemoteUid(0), 0U);
  EXPECT_EQ(view.RemoteGid(33), 33U);
}

TEST(AttributeView, ShowsTheServersNumbersWhenAsked) {
  FilesystemOptions options = Options();
  options.owner_map = OwnerMap::kServer;
  const AttributeView view(options);
  EXPECT_EQ(view.ShownUid(0), 0U);
  EXPECT_EQ(view.RemoteUid(1000), 1000U);
}

TEST(AttributeView, ConvertsToStat) {
  const AttributeView view(Options());
  const struct stat shown = view.Show(FileOf(0, 33, S_IFREG | 0644), 99, 1);
  EXPECT_EQ(shown.st_ino, 99U);
  EXPECT_EQ(shown.st_nlink, 1U);
  EXPECT_EQ(shown.st_mode, S_IFREG | 0644U);
  EXPECT_EQ(shown.st_uid, 1000U);
  EXPECT_EQ(shown.st_gid, 33U);
  EXPECT_EQ(shown.st_size, 1000);
  EXPECT_EQ(shown.st_blocks, 2);
  EXPECT_EQ(shown.st_atim.tv_sec, 5);
  EXPECT_EQ(shown.st_mtim.tv_sec, 6);
  EXPECT_EQ(shown.st_ctim.tv_sec, 6);
  EXPECT_EQ(shown.st_mtim.tv_nsec, 0);
}

TEST(AttributeView, TakesTheUmaskFromPermissionsOnly) {
  FilesystemOptions options = Options();
  options.umask = 0077;
  EXPECT_EQ(AttributeView(options).Show(FileOf(0, 0, S_IFREG | S_ISUID | 0755), 1, 1).st_mode,
            S_IFREG | S_ISUID | 0700U);
}

TEST(AttributeView, ShowsASizeBeyondOffTAsTheLargest) {
  Attributes attributes = FileOf(0, 0, S_IFREG | 0644);
  attributes.size = UINT64_MAX;
  EXPECT_EQ(AttributeView(Options()).Show(attributes, 1, 1).st_size, INT64_MAX);
}

struct Row {
  std::uint32_t remote_user;
  std::uint32_t owner;  // of the file, on the server
  std::uint32_t group;
  std::uint32_t mode;
  uid_t caller;
  gid_t caller_group;
  int mask;
  bool allowed;
};

class AccessTable : public ::testing::TestWithParam<Row> {};

TEST_P(AccessTable, IsAsExpected) {
  const Row& row = GetParam();
  FilesystemOptions options = Options();
  options.remote_uid = row.remote_user;
  const Status status =
      AttributeView(options).Access(FileOf(row.owner, row.group, row.mode), row.mask, row.caller, row.caller_group);
  EXPECT_EQ(status.ok(), row.allowed);
  if (!status.ok()) {
    EXPECT_EQ(status.error().code, Code::kPermissionDenied);
  }
}

constexpr std::uint32_t kFile = S_IFREG;
constexpr std::uint32_t kDir = S_IFDIR;

INSTANTIATE_TEST_SUITE_P(
    Table, AccessTable,
    ::testing::Values(
        // Root on the server does what the mounting user asks.
        Row{0, 33, 33, kFile | 0000, 1000, 1001, R_OK | W_OK, true},
        Row{0, 33, 33, kFile | 0644, 1000, 1001, X_OK, false}, Row{0, 33, 33, kFile | 0001, 1000, 1001, X_OK, true},
        Row{0, 33, 33, kDir | 0000, 1000, 1001, X_OK, true},
        // Somebody else on this machine goes by the mode.
        Row{0, 0, 0, kFile | 0600, 1234, 1234, R_OK, false}, Row{0, 0, 0, kFile | 0644, 1234, 1234, R_OK, true},
        Row{0, 0, 0, kFile | 0644, 1234, 1234, W_OK, false}, Row{0, 0, 0, kFile | 0000, 1234, 1234, F_OK, true},
        // An ordinary user on the server: owner, group, others, the first that fits.
        Row{500, 500, 33, kFile | 0600, 1000, 1001, R_OK | W_OK, true},
        Row{500, 500, 33, kFile | 0077, 1000, 33, R_OK, false}, Row{500, 33, 7, kFile | 0640, 1000, 1001, R_OK, true},
        Row{500, 33, 7, kFile | 0640, 1000, 1001, W_OK, false}, Row{500, 33, 33, kFile | 0604, 1000, 1001, R_OK, true},
        Row{500, 33, 33, kFile | 0660, 1000, 1001, R_OK, false},
        // Root on this machine.
        Row{500, 33, 33, kFile | 0000, 0, 0, R_OK | W_OK, true}, Row{500, 33, 33, kFile | 0600, 0, 0, X_OK, false}));

TEST(AttributeView, RefusesWritingOnAReadOnlyMount) {
  FilesystemOptions options = Options();
  options.read_only = true;
  const AttributeView view(options);
  EXPECT_EQ(view.Access(FileOf(0, 0, S_IFREG | 0666), W_OK, 0, 0).error().code, Code::kReadOnly);
  EXPECT_TRUE(view.Access(FileOf(0, 0, S_IFREG | 0666), R_OK, 0, 0).ok());
}

TEST(ClampToWire, KeepsTimesWithin32UnsignedBits) {
  EXPECT_EQ(ClampToWire(-1), 0);
  EXPECT_EQ(ClampToWire(1'700'000'000), 1'700'000'000);
  EXPECT_EQ(ClampToWire(1LL << 40U), 0xFFFFFFFFLL);
}

}  // namespace
}  // namespace bt
