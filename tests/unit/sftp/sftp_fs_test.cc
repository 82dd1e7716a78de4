// Every operation, on a real sftp-server.
#include "transport/sftp/sftp_fs.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <thread>

#include "tests/unit/sftp/real_server.h"
#include "transport/base/units.h"

namespace bt::sftp {
namespace {

using SftpFsTest = RealServer;

std::string Pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) {
    text[i] = static_cast<char>((i * 2654435761U) >> 13U);
  }
  return text;
}

struct stat LstatLocal(const std::filesystem::path& path) {
  struct stat seen {};
  EXPECT_EQ(::lstat(path.c_str(), &seen), 0);
  return seen;
}

TEST_F(SftpFsTest, KnowsWhatOpenSshOffers) {
  const RemoteCapabilities offered = fs_->capabilities();
  EXPECT_TRUE(offered.posix_rename && offered.hardlink && offered.fsync && offered.statvfs);
  EXPECT_GE(offered.max_read, 32768U);
}

TEST_F(SftpFsTest, StatsWithAndWithoutFollowing) {
  WriteLocal("file", "12345");
  std::filesystem::create_symlink("file", Local("link"));
  const Attributes link = fs_->Lstat(Patient(), Path("link")).value();
  EXPECT_TRUE(link.is_symlink());
  const Attributes file = fs_->Stat(Patient(), Path("link")).value();
  EXPECT_TRUE(file.is_regular());
  EXPECT_EQ(file.size, 5U);
  EXPECT_EQ(file.mtime, LstatLocal(Local("file")).st_mtime);
  EXPECT_EQ(fs_->Lstat(Patient(), Path("nothing")).error().code, Code::kNotFound);
}

TEST_F(SftpFsTest, AnErrorNamesTheOperationAndThePath) {
  const Error error = fs_->Lstat(Patient(), Path("nothing")).error();
  EXPECT_EQ(error.text.find("lstat " + Path("nothing").text() + ": "), 0U) << error.text;
}

TEST_F(SftpFsTest, WritesAndReadsBackAFileOfManyRequests) {
  const std::string content = Pattern(3 * 1024 * 1024 + 17);
  OpenedFile opened = MustOpen("file", kBoth, 0600);
  EXPECT_EQ(opened.attributes.size, 0U);
  EXPECT_EQ(opened.attributes.mode & 07777U, 0600U);
  ASSERT_TRUE(Write(*opened.file, 0, content).ok());
  EXPECT_TRUE(Read(*opened.file, 0, content.size()) == content);
  EXPECT_TRUE(Read(*opened.file, 0, content.size() + 1000000) == content);
  EXPECT_TRUE(Read(*opened.file, 1000, 2000000) == content.substr(1000, 2000000));
  EXPECT_EQ(Read(*opened.file, content.size(), 10), "");
  EXPECT_EQ(Read(*opened.file, content.size() + 100, 10), "");
  EXPECT_EQ(Read(*opened.file, 0, 0), "");
  EXPECT_TRUE(ReadLocal("file") == content);
}

TEST_F(SftpFsTest, SeesGrowthAndShrinkingBehindItsBack) {
  WriteLocal("file", "12345");
  OpenedFile opened = MustOpen("file", kReading);
  EXPECT_EQ(Read(*opened.file, 0, 100), "12345");
  std::ofstream(Local("file"), std::ios::app) << "67890";
  EXPECT_EQ(Read(*opened.file, 0, 100), "1234567890");
  std::filesystem::resize_file(Local("file"), 3);
  EXPECT_EQ(Read(*opened.file, 0, 100), "123");
  EXPECT_EQ(Read(*opened.file, 5, 100), "");
}

TEST_F(SftpFsTest, ReachesOffsetsBeyondFourGibibytes) {
  OpenedFile opened = MustOpen("sparse", kBoth);
  ASSERT_TRUE(Write(*opened.file, 5_GiB + 1, "end").ok());
  EXPECT_EQ(opened.file->Stat(Patient())->size, 5_GiB + 4);
  EXPECT_EQ(Read(*opened.file, 5_GiB, 100), std::string("\0end", 4));
  EXPECT_LT(LstatLocal(Local("sparse")).st_blocks, 1000);
}

TEST_F(SftpFsTest, OpensAsTheFlagsSay) {
  WriteLocal("file", "12345");
  EXPECT_EQ(MustOpen("file", kTruncating).attributes.size, 0U);
  EXPECT_EQ(fs_->Open(Patient(), Path("file"), kExclusively, 0644).error().code, Code::kExists);
  EXPECT_EQ(fs_->Open(Patient(), Path("nothing"), kReading, 0).error().code, Code::kNotFound);
  OpenedFile appending = MustOpen("file", OpenFlags{.write = true, .append = true});
  ASSERT_TRUE(Write(*appending.file, 0, "ab").ok());
  ASSERT_TRUE(Write(*appending.file, 0, "cd").ok());
  EXPECT_EQ(ReadLocal("file"), "abcd");
}

TEST_F(SftpFsTest, AnExclusiveOpenIsStoppedByADanglingSymlink) {
  std::filesystem::create_symlink("nowhere", Local("link"));
  EXPECT_EQ(fs_->Open(Patient(), Path("link"), kExclusively, 0644).error().code, Code::kExists);
}

TEST_F(SftpFsTest, ADirectoryIsNotOpened) {
  std::filesystem::create_directory(Local("dir"));
  EXPECT_EQ(fs_->Open(Patient(), Path("dir"), kReading, 0).error().code, Code::kIsDirectory);
  EXPECT_EQ(fs_->Open(Patient(), Path("dir"), kWriting, 0644).error().code, Code::kIsDirectory);
}

TEST_F(SftpFsTest, AnOpenFileGoesOnWhenItIsRemovedOrRenamed) {
  OpenedFile opened = MustOpen("file", kBoth);
  ASSERT_TRUE(fs_->RemoveFile(Patient(), Path("file")).ok());
  ASSERT_TRUE(Write(*opened.file, 0, "still").ok());
  EXPECT_EQ(Read(*opened.file, 0, 100), "still");
}

TEST_F(SftpFsTest, AFileThatMayNotDoSomethingSaysBadHandleAndNotNotFound) {
  WriteLocal("file", "12345");
  OpenedFile reading = MustOpen("file", kReading);
  EXPECT_EQ(Write(*reading.file, 0, "x").error().code, Code::kBadHandle);
  OpenedFile writing = MustOpen("file", kWriting);
  EXPECT_EQ(Read(*writing.file, 0, 10), "<bad-handle>");
}

TEST_F(SftpFsTest, ChangesAttributesOfAnOpenFile) {
  OpenedFile opened = MustOpen("file", kBoth);
  AttributeChange change;
  change.size = 1000;
  change.permissions = 0751;
  change.times = AttributeChange::Times{1000000000, 4000000000};
  ASSERT_TRUE(opened.file->SetAttributes(Patient(), change).ok());
  const Attributes now = opened.file->Stat(Patient()).value();
  EXPECT_EQ(now.size, 1000U);
  EXPECT_EQ(now.mode, 0100751U);
  EXPECT_EQ(now.atime, 1000000000);
  EXPECT_EQ(now.mtime, 4000000000);
  EXPECT_TRUE(opened.file->Sync(Patient()).ok());
}

TEST_F(SftpFsTest, ChangesAttributesByPath) {
  WriteLocal("file", "12345");
  AttributeChange change;
  change.permissions = 0604;
  change.times = AttributeChange::Times{5, 6};
  ASSERT_TRUE(fs_->SetAttributes(Patient(), Path("file"), change).ok());
  AttributeChange shrink;
  shrink.size = 2;
  ASSERT_TRUE(fs_->SetAttributes(Patient(), Path("file"), shrink).ok());
  EXPECT_EQ(ReadLocal("file"), "12");
  EXPECT_EQ(LstatLocal(Local("file")).st_mode, 0100604U);
  EXPECT_TRUE(fs_->SetAttributes(Patient(), Path("nothing"), {}).ok());
  EXPECT_EQ(fs_->SetAttributes(Patient(), Path("nothing"), change).error().code, Code::kNotFound);
}

TEST_F(SftpFsTest, ChangesASymlinkAndNeverWhatItPointsTo) {
  WriteLocal("file", "12345");
  std::filesystem::create_symlink("file", Local("link"));
  const struct stat before = LstatLocal(Local("file"));
  AttributeChange times;
  times.times = AttributeChange::Times{5, 6};
  ASSERT_TRUE(fs_->SetAttributes(Patient(), Path("link"), times).ok());
  EXPECT_EQ(LstatLocal(Local("link")).st_mtime, 6);
  AttributeChange size;
  size.size = 0;
  EXPECT_EQ(fs_->SetAttributes(Patient(), Path("link"), size).error().code, Code::kUnsupported);
  AttributeChange permissions;
  permissions.permissions = 0777;
  EXPECT_EQ(fs_->SetAttributes(Patient(), Path("link"), permissions).error().code, Code::kUnsupported);
  const struct stat after = LstatLocal(Local("file"));
  EXPECT_EQ(after.st_mtime, before.st_mtime);
  EXPECT_EQ(after.st_mode, before.st_mode);
  EXPECT_EQ(after.st_size, 5);
}

TEST_F(SftpFsTest, WithoutLsetstatASymlinkIsLeftAlone) {
  Connect({.arguments = {"-P", "lsetstat"}});
  ASSERT_FALSE(fs_->capabilities().lsetstat);
  WriteLocal("file", "12345");
  std::filesystem::create_symlink("file", Local("link"));
  AttributeChange times;
  times.times = AttributeChange::Times{5, 6};
  EXPECT_EQ(fs_->SetAttributes(Patient(), Path("link"), times).error().code, Code::kUnsupported);
  EXPECT_NE(LstatLocal(Local("file")).st_mtime, 6);
  ASSERT_TRUE(fs_->SetAttributes(Patient(), Path("file"), times).ok());
  EXPECT_EQ(LstatLocal(Local("file")).st_mtime, 6);
}

TEST_F(SftpFsTest, TimesThatTheProtocolCannotCarryAreRefused) {
  WriteLocal("file", "");
  AttributeChange change;
  change.times = AttributeChange::Times{0, -1};
  EXPECT_EQ(fs_->SetAttributes(Patient(), Path("file"), change).error().code, Code::kInvalid);
  change.times = AttributeChange::Times{4294967296, 0};
  EXPECT_EQ(MustOpen("file", kWriting).file->SetAttributes(Patient(), change).error().code, Code::kInvalid);
}

TEST_F(SftpFsTest, ListsADirectoryWithAttributes) {
  WriteLocal("file", "12345");
  std::filesystem::create_directory(Local("dir"));
  std::filesystem::create_symlink("file", Local("link"));
  WriteLocal("\x01\xff new\nline", "");
  std::vector<DirEntry> entries = fs_->ReadDirectory(Patient(), Path()).value();
  std::sort(entries.begin(), entries.end(), [](const DirEntry& a, const DirEntry& b) { return a.name < b.name; });
  ASSERT_EQ(entries.size(), 4U);
  EXPECT_EQ(entries[0].name.text(), "\x01\xff new\nline");
  EXPECT_TRUE(entries[1].attributes.is_directory());
  EXPECT_EQ(entries[2].attributes.size, 5U);
  EXPECT_TRUE(entries[3].attributes.is_symlink());
}

TEST_F(SftpFsTest, ListsTenThousandEntriesEachOnce) {
  for (int i = 0; i < 10000; ++i) {
    WriteLocal("entry-" + std::to_string(i), "");
  }
  std::set<std::string> names;
  const std::vector<DirEntry> entries = fs_->ReadDirectory(Patient(), Path()).value();
  for (const DirEntry& entry : entries) {
    EXPECT_TRUE(entry.attributes.is_regular());
    EXPECT_TRUE(names.insert(entry.name.text()).second);
  }
  EXPECT_EQ(names.size(), 10000U);
}

TEST_F(SftpFsTest, TakesNamesOf255BytesInDeepDirectories) {
  const std::string name(255, 'n');
  ASSERT_TRUE(fs_->MakeDirectory(Patient(), Path(name), 0755).ok());
  const RemotePath file = Path(name) / Name::Parse(name).value();
  ASSERT_TRUE(fs_->Open(Patient(), file, kExclusively, 0644).ok());
  EXPECT_EQ(fs_->ReadDirectory(Patient(), Path(name))->at(0).name.text(), name);
}

TEST_F(SftpFsTest, MakesAndReadsSymlinks) {
  ASSERT_TRUE(fs_->MakeSymlink(Patient(), Path("link"), "../some where/\xfe").ok());
  EXPECT_EQ(std::filesystem::read_symlink(Local("link")).string(), "../some where/\xfe");
  EXPECT_EQ(*fs_->ReadLink(Patient(), Path("link")), "../some where/\xfe");
  WriteLocal("file", "");
  EXPECT_EQ(fs_->ReadLink(Patient(), Path("file")).error().code, Code::kInvalid);
  EXPECT_EQ(fs_->MakeSymlink(Patient(), Path("long"), std::string(5000, 'x')).error().code, Code::kNameTooLong);
}

TEST_F(SftpFsTest, MakesAndRemovesDirectoriesAndFiles) {
  ASSERT_TRUE(fs_->MakeDirectory(Patient(), Path("dir"), 0750).ok());
  EXPECT_EQ(LstatLocal(Local("dir")).st_mode & 07777U, 0750U);
  WriteLocal("file", "");
  EXPECT_TRUE(fs_->RemoveDirectory(Patient(), Path("dir")).ok());
  EXPECT_TRUE(fs_->RemoveFile(Patient(), Path("file")).ok());
  EXPECT_TRUE(std::filesystem::is_empty(directory_));
  EXPECT_EQ(fs_->RemoveFile(Patient(), Path("file")).error().code, Code::kNotFound);
  EXPECT_EQ(fs_->RemoveDirectory(Patient(), Path("dir")).error().code, Code::kNotFound);
}

TEST_F(SftpFsTest, RenamesOverWhatIsThereOnlyWhenAsked) {
  WriteLocal("a", "A");
  WriteLocal("b", "B");
  EXPECT_EQ(fs_->Rename(Patient(), Path("a"), Path("b"), RenameMode::kNoReplace).error().code, Code::kExists);
  EXPECT_EQ(ReadLocal("b"), "B");
  ASSERT_TRUE(fs_->Rename(Patient(), Path("a"), Path("b"), RenameMode::kReplace).ok());
  EXPECT_EQ(ReadLocal("b"), "A");
  ASSERT_TRUE(fs_->Rename(Patient(), Path("b"), Path("c"), RenameMode::kNoReplace).ok());
  EXPECT_EQ(ReadLocal("c"), "A");
  EXPECT_EQ(fs_->Rename(Patient(), Path("a"), Path("b"), RenameMode::kReplace).error().code, Code::kNotFound);
}

TEST_F(SftpFsTest, WithoutPosixRenameNothingIsReplaced) {
  Connect({.arguments = {"-P", "posix-rename"}});
  ASSERT_FALSE(fs_->capabilities().posix_rename);
  WriteLocal("a", "A");
  WriteLocal("b", "B");
  EXPECT_EQ(fs_->Rename(Patient(), Path("a"), Path("b"), RenameMode::kReplace).error().code, Code::kExists);
  EXPECT_EQ(ReadLocal("b"), "B");
  ASSERT_TRUE(fs_->Rename(Patient(), Path("a"), Path("c"), RenameMode::kReplace).ok());
  EXPECT_EQ(ReadLocal("c"), "A");
}

TEST_F(SftpFsTest, MakesHardLinks) {
  WriteLocal("a", "A");
  ASSERT_TRUE(fs_->MakeHardLink(Patient(), Path("a"), Path("b")).ok());
  EXPECT_EQ(LstatLocal(Local("a")).st_nlink, 2U);
  EXPECT_EQ(fs_->MakeHardLink(Patient(), Path("a"), Path("b")).error().code, Code::kExists);
}

TEST_F(SftpFsTest, WithoutAnExtensionTheAnswerIsUnsupported) {
  Connect({.arguments = {"-P", "hardlink,fsync,statvfs,copy-data"}});
  WriteLocal("a", "A");
  EXPECT_EQ(fs_->MakeHardLink(Patient(), Path("a"), Path("b")).error().code, Code::kUnsupported);
  EXPECT_EQ(fs_->StatFs(Patient(), Path()).error().code, Code::kUnsupported);
  OpenedFile from = MustOpen("a", kReading);
  OpenedFile to = MustOpen("b", kWriting);
  EXPECT_EQ(to.file->Sync(Patient()).error().code, Code::kUnsupported);
  EXPECT_EQ(fs_->CopyRange(Patient(), *from.file, 0, *to.file, 0, 1).error().code, Code::kUnsupported);
}

TEST_F(SftpFsTest, TellsSpaceAndRealPaths) {
  const FsStats stats = fs_->StatFs(Patient(), Path()).value();
  EXPECT_GT(stats.blocks, 0U);
  EXPECT_EQ(stats.name_max, 255U);
  std::filesystem::create_directory(Local("dir"));
  std::filesystem::create_symlink("dir", Local("link"));
  EXPECT_EQ(*fs_->RealPath(Patient(), Local("link/../link/.").string()), Path("dir"));
  EXPECT_TRUE(fs_->RealPath(Patient(), ".").ok());
  EXPECT_EQ(fs_->RealPath(Patient(), Local("no/thing").string()).error().code, Code::kNotFound);
}

TEST_F(SftpFsTest, CopiesOnTheServerAndTellsHowMuch) {
  const std::string content = Pattern(1000000);
  WriteLocal("from", content);
  OpenedFile from = MustOpen("from", kReading);
  OpenedFile to = MustOpen("to", kBoth);
  EXPECT_EQ(*fs_->CopyRange(Patient(), *from.file, 100, *to.file, 7, 500000), 500000U);
  EXPECT_TRUE(ReadLocal("to") == std::string(7, '\0') + content.substr(100, 500000));
  EXPECT_EQ(*fs_->CopyRange(Patient(), *from.file, 900000, *to.file, 0, 1_GiB), 100000U);
  EXPECT_TRUE(ReadLocal("to").substr(0, 100000) == content.substr(900000));
  EXPECT_EQ(*fs_->CopyRange(Patient(), *from.file, 1000000, *to.file, 0, 5), 0U);
  EXPECT_EQ(*fs_->CopyRange(Patient(), *from.file, 2000000, *to.file, 0, 5), 0U);
  EXPECT_EQ(*fs_->CopyRange(Patient(), *from.file, 0, *to.file, 0, 0), 0U);
  EXPECT_EQ(ReadLocal("to").size(), 500007U);
}

// The server answers OK to this copy-data, although not a byte could be written.
TEST_F(SftpFsTest, ACopyThatTheDiskRefusesIsAnError) {
  WriteLocal("from", Pattern(100000));
  OpenedFile from = MustOpen("from", kReading);
  OpenedFile full = fs_->Open(Patient(), RemotePath::Parse("/dev/full").value(), OpenFlags{.write = true}, 0).value();
  EXPECT_FALSE(fs_->CopyRange(Patient(), *from.file, 0, *full.file, 0, 1000).ok());
  EXPECT_FALSE(fs_->CopyRange(Patient(), *from.file, 0, *full.file, 0, 100000).ok());
}

TEST_F(SftpFsTest, RefusesToCopyWhatTheServerCannot) {
  WriteLocal("a", "A");
  OpenedFile from = MustOpen("a", kBoth);
  OpenedFile same = MustOpen("a", kBoth);
  EXPECT_EQ(fs_->CopyRange(Patient(), *from.file, 0, *same.file, 10, 1).error().code, Code::kUnsupported);
  OpenedFile appending = MustOpen("b", OpenFlags{.write = true, .append = true, .create = true});
  EXPECT_EQ(fs_->CopyRange(Patient(), *from.file, 0, *appending.file, 0, 1).error().code, Code::kUnsupported);
}

TEST_F(SftpFsTest, OpenFilesMayOutliveTheirFileSystem) {
  OpenedFile opened = MustOpen("file", kBoth);
  fs_.reset();
  EXPECT_EQ(Write(*opened.file, 0, "x").error().code, Code::kDisconnected);
}

TEST_F(SftpFsTest, ACutChannelFailsWhatIsOnItsWayAndAllLaterCalls) {
  OpenedFile opened = MustOpen("file", kBoth);
  channel_->Cut();
  while (!fs_->client().closed()) {
    std::this_thread::yield();
  }
  EXPECT_EQ(Write(*opened.file, 0, "x").error().code, Code::kDisconnected);
  const Error error = fs_->Lstat(Patient(), Path()).error();
  EXPECT_EQ(error.code, Code::kDisconnected);
  EXPECT_EQ(error.fate, Fate::kNotSent);
}

TEST_F(SftpFsTest, AReplyCutInItsMiddleIsAnErrorAndNeverData) {
  WriteLocal("file", Pattern(1000000));
  Connect({.cut_after_bytes = 500000});
  OpenedFile opened = MustOpen("file", kReading);
  EXPECT_EQ(Read(*opened.file, 0, 1000000), "<disconnected>");
}

}  // namespace
}  // namespace bt::sftp
