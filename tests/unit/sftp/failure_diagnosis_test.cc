// What SSH_FX_FAILURE meant, found out on a real sftp-server and from scripted answers.
#include "transport/sftp/failure_diagnosis.h"

#include <gtest/gtest.h>

#include "tests/support/sftp_pipe/fake_server_channel.h"
#include "tests/unit/sftp/real_server.h"

namespace bt::sftp {
namespace {

using RealFailures = RealServer;

TEST_F(RealFailures, WhatExistsCannotBeMade) {
  WriteLocal("file", "");
  std::filesystem::create_symlink("nowhere", Local("dangling"));
  EXPECT_EQ(fs_->MakeDirectory(Patient(), Path("file"), 0755).error().code, Code::kExists);
  EXPECT_EQ(fs_->MakeDirectory(Patient(), Path("dangling"), 0755).error().code, Code::kExists);
  EXPECT_EQ(fs_->MakeSymlink(Patient(), Path("file"), "x").error().code, Code::kExists);
  EXPECT_EQ(fs_->MakeDirectory(Patient(), Path("no/dir"), 0755).error().code, Code::kNotFound);
}

TEST_F(RealFailures, RemovingTheWrongKindOrAFullDirectorySaysSo) {
  WriteLocal("file", "");
  std::filesystem::create_directories(Local("dir/sub"));
  EXPECT_EQ(fs_->RemoveFile(Patient(), Path("dir")).error().code, Code::kIsDirectory);
  EXPECT_EQ(fs_->RemoveDirectory(Patient(), Path("file")).error().code, Code::kNotDirectory);
  EXPECT_EQ(fs_->RemoveDirectory(Patient(), Path("dir")).error().code, Code::kNotEmpty);
}

TEST_F(RealFailures, ListingWhatIsNoDirectorySaysSo) {
  WriteLocal("file", "");
  EXPECT_EQ(fs_->ReadDirectory(Patient(), Path("file")).error().code, Code::kNotDirectory);
  EXPECT_EQ(fs_->ReadDirectory(Patient(), Path("nothing")).error().code, Code::kNotFound);
}

TEST_F(RealFailures, RenamingOverTheWrongKindSaysSo) {
  WriteLocal("file", "");
  std::filesystem::create_directories(Local("full/sub"));
  std::filesystem::create_directories(Local("dir"));
  const auto rename = [&](std::string_view from, std::string_view to, RenameMode mode = RenameMode::kReplace) {
    return fs_->Rename(Patient(), Path(from), Path(to), mode).error().code;
  };
  EXPECT_EQ(rename("dir", "full"), Code::kNotEmpty);
  EXPECT_EQ(rename("file", "dir"), Code::kIsDirectory);
  EXPECT_EQ(rename("dir", "file"), Code::kNotDirectory);
  EXPECT_EQ(rename("full", "full/sub/below"), Code::kInvalid);
  EXPECT_EQ(rename("dir", "full", RenameMode::kNoReplace), Code::kExists);
  EXPECT_EQ(rename("file", "dir", RenameMode::kNoReplace), Code::kExists);
}

TEST_F(RealFailures, APathThatIsTooLongSaysSo) {
  RemotePath path = Path();
  for (int i = 0; i < 20; ++i) {
    path = path / Name::Parse(std::string(250, 'd')).value();
  }
  EXPECT_EQ(fs_->Lstat(Patient(), path).error().code, Code::kNameTooLong);
  EXPECT_EQ(fs_->RemoveDirectory(Patient(), path).error().code, Code::kNameTooLong);
  EXPECT_EQ(fs_->MakeDirectory(Patient(), path, 0755).error().code, Code::kNameTooLong);
  EXPECT_EQ(fs_->Open(Patient(), path, kWriting, 0644).error().code, Code::kNameTooLong);
}

TEST_F(RealFailures, AnotherFileSystemIsNamed) {
  std::error_code failed;
  const std::filesystem::path shm = "/dev/shm";
  struct stat here {};
  struct stat there {};
  if (::stat(directory_.c_str(), &here) != 0 || ::stat(shm.c_str(), &there) != 0 || here.st_dev == there.st_dev) {
    GTEST_SKIP() << "needs a second file system at /dev/shm";
  }
  WriteLocal("file", "");
  const RemotePath target = RemotePath::Parse("/dev/shm/" + directory_.filename().string()).value();
  EXPECT_EQ(fs_->Rename(Patient(), Path("file"), target, RenameMode::kReplace).error().code, Code::kCrossDevice);
  EXPECT_EQ(fs_->MakeHardLink(Patient(), Path("file"), target).error().code, Code::kCrossDevice);
  std::filesystem::remove(target.text(), failed);
}

TEST_F(RealFailures, AReadOnlyServerRefusesPermission) {
  Connect({.arguments = {"-R"}});
  EXPECT_EQ(fs_->MakeDirectory(Patient(), Path("dir"), 0755).error().code, Code::kPermissionDenied);
}

// A server whose changes fail, and whose file system is in a state that cannot be made easily on a real one.
class ScriptedFailures : public testing::Test {
 protected:
  struct Disk {
    std::uint64_t available = 1000;
    std::uint64_t files = 1000;
    std::uint64_t files_available = 1000;
    bool read_only = false;
    std::uint64_t name_max = 255;
  };

  void Connect(Disk disk, StatusCode status = StatusCode::kFailure, std::string text = "Failure") {
    auto script = [=](const test::SeenRequest& request) -> std::vector<std::byte> {
      switch (request.type) {
        case MessageType::kOpen: {
          PacketReader reader = request.Reader();
          return reader.String() == "/good" ? test::HandleReply(request.id, "h")
                                            : test::StatusReply(request.id, status, text);
        }
        case MessageType::kStat:
        case MessageType::kLstat: {
          PacketReader reader = request.Reader();
          return reader.String() == "/good" ? test::AttrsReply(request.id, 0)
                                            : test::StatusReply(request.id, StatusCode::kNoSuchFile);
        }
        case MessageType::kExtended:
          if (request.Reader().String().find("statvfs") != std::string_view::npos) {
            return PacketWriter(MessageType::kExtendedReply, 100)
                .U32(request.id)
                .U64(4096)
                .U64(4096)
                .U64(1000)
                .U64(disk.available)
                .U64(disk.available)
                .U64(disk.files)
                .U64(disk.files_available)
                .U64(disk.files_available)
                .U64(7)
                .U64(disk.read_only ? 1 : 0)
                .U64(disk.name_max)
                .Take();
          }
          return test::StatusReply(request.id, status, text);
        case MessageType::kClose:
          return test::StatusReply(request.id, StatusCode::kOk);
        default:
          return test::StatusReply(request.id, status, text);
      }
    };
    auto channel = std::make_unique<test::FakeServerChannel>(test::GreetingThen(
        script, {{"statvfs@openssh.com", "2"}, {"fstatvfs@openssh.com", "2"}, {"hardlink@openssh.com", "1"}}));
    fs_ = SftpFs::Open(Patient(), std::move(channel)).value();
  }

  Code MakeDirectory(std::string_view path = "/new") {
    return fs_->MakeDirectory(Patient(), RemotePath::Parse(path).value(), 0755).error().code;
  }
  Code Write(std::size_t bytes) {
    Result<OpenedFile> opened = fs_->Open(Patient(), RemotePath::Parse("/good").value(), OpenFlags{.write = true}, 0);
    EXPECT_TRUE(opened.ok());
    return opened->file->Write(Patient(), 0, std::vector<std::byte>(bytes)).error().code;
  }

  std::unique_ptr<SftpFs> fs_;
};

TEST_F(ScriptedFailures, AFullDiskIsNamed) {
  Connect({.available = 0});
  EXPECT_EQ(MakeDirectory(), Code::kNoSpace);
  EXPECT_EQ(Write(1), Code::kNoSpace);
  EXPECT_EQ(fs_->Open(Patient(), RemotePath::Parse("/new").value(), kWriting, 0644).error().code, Code::kNoSpace);
}

TEST_F(ScriptedFailures, AWriteThatDoesNotFitAnyMoreFoundAFullDisk) {
  Connect({.available = 2});
  EXPECT_EQ(Write(8192), Code::kFailure);
  EXPECT_EQ(Write(8193), Code::kNoSpace);
}

TEST_F(ScriptedFailures, RunningOutOfInodesIsNoSpace) {
  Connect({.files_available = 0});
  EXPECT_EQ(MakeDirectory(), Code::kNoSpace);
  EXPECT_EQ(Write(1), Code::kFailure);
}

TEST_F(ScriptedFailures, AFileSystemThatCountsNoInodesHasNotRunOutOfThem) {
  Connect({.files = 0, .files_available = 0});
  EXPECT_EQ(MakeDirectory(), Code::kFailure);
}

TEST_F(ScriptedFailures, AReadOnlyFileSystemIsNamed) {
  Connect({.read_only = true});
  EXPECT_EQ(MakeDirectory(), Code::kReadOnly);
  EXPECT_EQ(Write(1), Code::kReadOnly);
  const RemotePath good = RemotePath::Parse("/good").value();
  EXPECT_EQ(fs_->RemoveFile(Patient(), good).error().code, Code::kReadOnly);
  AttributeChange change;
  change.permissions = 0600;
  EXPECT_EQ(fs_->SetAttributes(Patient(), good, change).error().code, Code::kReadOnly);
}

TEST_F(ScriptedFailures, AFileSystemWithShorterNamesIsNamed) {
  Connect({.name_max = 143}, StatusCode::kBadMessage);
  EXPECT_EQ(MakeDirectory("/" + std::string(200, 'n')), Code::kNameTooLong);
  EXPECT_EQ(MakeDirectory("/" + std::string(100, 'n')), Code::kInvalid);
}

TEST_F(ScriptedFailures, TheServersTextIsTheLastHint) {
  Connect({}, StatusCode::kFailure, "write /x: no space left on device");
  EXPECT_EQ(MakeDirectory(), Code::kNoSpace);
  Connect({}, StatusCode::kFailure, "Disk quota exceeded");
  EXPECT_EQ(Write(10), Code::kQuota);
}

TEST_F(ScriptedFailures, WhatCannotBeDeducedStaysAFailureWithTheServersWords) {
  Connect({}, StatusCode::kFailure, "computer says no");
  const Error error = fs_->MakeDirectory(Patient(), RemotePath::Parse("/new").value(), 0755).error();
  EXPECT_EQ(error.code, Code::kFailure);
  EXPECT_NE(error.text.find("computer says no"), std::string::npos);
}

TEST_F(ScriptedFailures, WhoIsNotTheOwnerIsToldSo) {
  Connect({}, StatusCode::kPermissionDenied);
  AttributeChange change;
  change.owner = AttributeChange::Owner{1, 1};
  const RemotePath good = RemotePath::Parse("/good").value();
  EXPECT_EQ(fs_->SetAttributes(Patient(), good, change).error().code, Code::kNotPermitted);
  change.size = 0;
  EXPECT_EQ(fs_->SetAttributes(Patient(), good, change).error().code, Code::kPermissionDenied);
}

}  // namespace
}  // namespace bt::sftp
