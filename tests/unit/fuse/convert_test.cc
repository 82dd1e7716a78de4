#include "fs/fuse/convert.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdio>
#include <map>

namespace bt::fuse {
namespace {

TEST(Convert, EveryCodeHasItsErrno) {
  const std::map<Code, int> table = {
      {Code::kNotFound, ENOENT},
      {Code::kPermissionDenied, EACCES},
      {Code::kNotPermitted, EPERM},
      {Code::kExists, EEXIST},
      {Code::kNotEmpty, ENOTEMPTY},
      {Code::kNotDirectory, ENOTDIR},
      {Code::kIsDirectory, EISDIR},
      {Code::kNoSpace, ENOSPC},
      {Code::kQuota, EDQUOT},
      {Code::kReadOnly, EROFS},
      {Code::kNameTooLong, ENAMETOOLONG},
      {Code::kCrossDevice, EXDEV},
      {Code::kTooBig, EFBIG},
      {Code::kInvalid, EINVAL},
      {Code::kUnsupported, EOPNOTSUPP},
      {Code::kStale, ESTALE},
      {Code::kBadHandle, EBADF},
      {Code::kTooManyHandles, EMFILE},
      {Code::kLoop, ELOOP},
      {Code::kFailure, EIO},
      {Code::kTimedOut, ETIMEDOUT},
      {Code::kInterrupted, EINTR},
      {Code::kDisconnected, EIO},
      {Code::kProtocol, EIO},
      {Code::kUnavailable, EIO},
      {Code::kRefused, EACCES},
      {Code::kNotRunning, EIO},
      {Code::kConfig, EINVAL},
      {Code::kInternal, EIO},
  };
  // kInternal is the last one: a code that is added must be added here.
  EXPECT_EQ(table.size(), static_cast<std::size_t>(Code::kInternal) + 1);
  for (const auto& [code, number] : table) {
    EXPECT_EQ(ToErrno(code), number) << CodeName(code);
  }
}

TEST(Convert, OnlyWhatIsMarkedIsSet) {
  struct stat values {};
  values.st_size = 7;
  values.st_mode = S_IFREG | 04755;
  values.st_uid = 1;
  values.st_gid = 2;
  EXPECT_FALSE(ToSetAttributes(values, 0).size.has_value());
  const auto all = ToSetAttributes(
      values, FUSE_SET_ATTR_SIZE | FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID | FUSE_SET_ATTR_CTIME);
  EXPECT_EQ(all.size, 7U);
  EXPECT_EQ(all.permissions, 04755U);
  EXPECT_EQ(all.uid, 1U);
  EXPECT_EQ(all.gid, 2U);
  EXPECT_EQ(all.mtime.kind, SetAttributesRequest::TimeKind::kOmit);
}

TEST(Convert, NowWinsOverTheTimeThatComesWithIt) {
  struct stat values {};
  values.st_atim = {5, 6};
  values.st_mtim = {7, 8};
  const auto request = ToSetAttributes(values, FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW);
  EXPECT_EQ(request.atime.kind, SetAttributesRequest::TimeKind::kSet);
  EXPECT_EQ(request.atime.value.tv_sec, 5);
  EXPECT_EQ(request.atime.value.tv_nsec, 6);
  EXPECT_EQ(request.mtime.kind, SetAttributesRequest::TimeKind::kNow);
}

TEST(Convert, RenameTakesNoReplaceAndNothingElse) {
  EXPECT_EQ(*ToRenameMode(0), RenameMode::kReplace);
  EXPECT_EQ(*ToRenameMode(RENAME_NOREPLACE), RenameMode::kNoReplace);
  for (const unsigned flags :
       {unsigned{RENAME_EXCHANGE}, unsigned{RENAME_WHITEOUT}, 64U, unsigned{RENAME_NOREPLACE | RENAME_EXCHANGE}}) {
    ASSERT_FALSE(ToRenameMode(flags).ok()) << flags;
    EXPECT_EQ(ToRenameMode(flags).error().code, Code::kInvalid);
  }
}

TEST(Convert, NamesCannotForgeLogLines) {
  EXPECT_EQ(Printable("a\nb\\\x1b[m\x7f"), "a\\x0ab\\\\\\x1b[m\\x7f");
  EXPECT_EQ(Printable("größe"), "größe");
}

TEST(Convert, EntryCarriesItsTimeToLiveTwice) {
  Entry entry;
  entry.inode = InodeNo{9};
  entry.ttl = std::chrono::milliseconds(1500);
  const fuse_entry_param param = ToEntryParam(entry);
  EXPECT_EQ(param.ino, 9U);
  EXPECT_DOUBLE_EQ(param.attr_timeout, 1.5);
  EXPECT_DOUBLE_EQ(param.entry_timeout, 1.5);
}

}  // namespace
}  // namespace bt::fuse
