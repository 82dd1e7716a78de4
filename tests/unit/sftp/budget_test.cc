// Round trips and requests of each operation, counted on a real sftp-server.
#include <gtest/gtest.h>

#include "tests/unit/sftp/real_server.h"

namespace bt::sftp {
namespace {

using Budget = RealServer;
using Counts = std::map<MessageType, int>;

TEST_F(Budget, OpeningTheSessionTakesTwoRequests) {
  EXPECT_EQ(channel_->TakeRequests(), (Counts{{MessageType::kInit, 1}, {MessageType::kExtended, 1}}));
}

TEST_F(Budget, SimpleOperationsTakeOneRoundTrip) {
  WriteLocal("file", "12345");
  EXPECT_EQ(Turns([&] { EXPECT_TRUE(fs_->Lstat(Patient(), Path("file")).ok()); }), 1);
  EXPECT_EQ(Turns([&] { EXPECT_TRUE(fs_->Stat(Patient(), Path("file")).ok()); }), 1);
  EXPECT_EQ(Turns([&] { EXPECT_FALSE(fs_->Stat(Patient(), Path("nothing")).ok()); }), 1);
  EXPECT_EQ(Turns([&] { EXPECT_TRUE(fs_->MakeDirectory(Patient(), Path("dir"), 0755).ok()); }), 1);
  EXPECT_EQ(Turns([&] { EXPECT_TRUE(fs_->RemoveDirectory(Patient(), Path("dir")).ok()); }), 1);
  EXPECT_EQ(Turns([&] { EXPECT_TRUE(fs_->MakeSymlink(Patient(), Path("link"), "file").ok()); }), 1);
  EXPECT_EQ(Turns([&] { EXPECT_TRUE(fs_->ReadLink(Patient(), Path("link")).ok()); }), 1);
  EXPECT_EQ(Turns([&] { EXPECT_TRUE(fs_->MakeHardLink(Patient(), Path("file"), Path("hard")).ok()); }), 1);
  EXPECT_EQ(Turns([&] { EXPECT_TRUE(fs_->Rename(Patient(), Path("hard"), Path("new"), RenameMode::kReplace).ok()); }),
            1);
  EXPECT_EQ(Turns([&] { EXPECT_TRUE(fs_->RemoveFile(Patient(), Path("new")).ok()); }), 1);
  EXPECT_EQ(Turns([&] { EXPECT_TRUE(fs_->StatFs(Patient(), Path()).ok()); }), 1);
  EXPECT_EQ(Turns([&] { EXPECT_TRUE(fs_->RealPath(Patient(), ".").ok()); }), 1);
  AttributeChange change;
  change.permissions = 0600;
  change.times = AttributeChange::Times{1, 2};
  EXPECT_EQ(Turns([&] { EXPECT_TRUE(fs_->SetAttributes(Patient(), Path("file"), change).ok()); }), 1);
}

TEST_F(Budget, OpenTakesOneRoundTripAndTwoRequests) {
  WriteLocal("file", "12345");
  OpenedFile opened;
  channel_->TakeRequests();
  EXPECT_EQ(Turns([&] { opened = MustOpen("file", kReading); }), 1);
  EXPECT_EQ(channel_->TakeRequests(), (Counts{{MessageType::kOpen, 1}, {MessageType::kStat, 1}}));
  EXPECT_EQ(Turns([&] { MustOpen("new", kExclusively); }), 1);
  EXPECT_EQ(Turns([&] { MustOpen("file", kTruncating); }), 1);
}

TEST_F(Budget, ReadingASmallFileToItsEndTakesOneRoundTrip) {
  WriteLocal("file", "12345");
  OpenedFile opened = MustOpen("file", kReading);
  EXPECT_EQ(Turns([&] { EXPECT_EQ(Read(*opened.file, 0, 131072), "12345"); }), 1);
  EXPECT_EQ(Turns([&] { EXPECT_EQ(Read(*opened.file, 0, 131072), "12345"); }), 1);
}

TEST_F(Budget, ReadingOrWritingAnyLengthTakesOneRoundTrip) {
  const std::string content(4 * 1024 * 1024, 'x');
  OpenedFile opened = MustOpen("file", kBoth);
  EXPECT_EQ(Turns([&] { EXPECT_TRUE(Write(*opened.file, 0, content).ok()); }), 1);
  EXPECT_EQ(Turns([&] { EXPECT_EQ(Read(*opened.file, 0, content.size()).size(), content.size()); }), 1);
  EXPECT_EQ(Turns([&] { EXPECT_EQ(Read(*opened.file, 5, content.size()).size(), content.size() - 5); }), 1);
  EXPECT_EQ(Turns([&] { EXPECT_TRUE(opened.file->Sync(Patient()).ok()); }), 1);
  EXPECT_EQ(Turns([&] { EXPECT_TRUE(opened.file->Stat(Patient()).ok()); }), 1);
}

TEST_F(Budget, WritingChangingAndLookingTakeOneRoundTripTogether) {
  OpenedFile opened = MustOpen("file", kBoth);
  AttributeChange change;
  change.permissions = 0600;
  change.times = AttributeChange::Times{1000, 2000};
  const std::string content(1024 * 1024, 'x');
  channel_->TakeRequests();
  EXPECT_EQ(Turns([&] {
              const auto seen =
                  opened.file->WriteAndChange(Patient(), 0, std::as_bytes(std::span(content)), change).value();
              EXPECT_EQ(seen->size, content.size());
              EXPECT_EQ(seen->mtime, 2000);
              EXPECT_EQ(seen->mode & 07777U, 0600U);
            }),
            1);
  EXPECT_EQ(channel_->TakeRequests(),
            (Counts{{MessageType::kWrite, 5}, {MessageType::kFsetstat, 1}, {MessageType::kFstat, 1}}));
}

TEST_F(Budget, ReadsWithinTheFileTakeOneRequest) {
  OpenedFile opened = MustOpen("file", kBoth);
  ASSERT_TRUE(Write(*opened.file, 0, std::string(200000, 'x')).ok());
  channel_->TakeRequests();
  EXPECT_EQ(Read(*opened.file, 0, 131072).size(), 131072U);
  EXPECT_EQ(channel_->TakeRequests(), (Counts{{MessageType::kRead, 1}}));
}

TEST_F(Budget, CloseIsNotWaitedFor) {
  OpenedFile opened = MustOpen("file", kBoth);
  EXPECT_EQ(Turns([&] { opened.file.reset(); }), 0);
}

TEST_F(Budget, ListingAFewHundredEntriesTakesTwoRoundTrips) {
  EXPECT_EQ(Turns([&] { EXPECT_EQ(fs_->ReadDirectory(Patient(), Path())->size(), 0U); }), 2);
  for (int i = 0; i < 298; ++i) {
    WriteLocal(std::to_string(i), "");
  }
  EXPECT_EQ(Turns([&] { EXPECT_EQ(fs_->ReadDirectory(Patient(), Path())->size(), 298U); }), 2);
}

TEST_F(Budget, ListingAShortDirectoryTakesNoNeedlessRequests) {
  WriteLocal("file", "");
  channel_->TakeRequests();
  EXPECT_EQ(fs_->ReadDirectory(Patient(), Path())->size(), 1U);
  EXPECT_EQ(
      channel_->TakeRequests(),
      (Counts{
          {MessageType::kOpendir, 1}, {MessageType::kReaddir, 4}, {MessageType::kLstat, 1}, {MessageType::kClose, 1}}));
}

TEST_F(Budget, ListingTakesAboutOneMoreRoundTripPerDoubling) {
  for (int i = 0; i < 3000; ++i) {
    WriteLocal(std::to_string(i), "");
  }
  EXPECT_LE(Turns([&] { EXPECT_EQ(fs_->ReadDirectory(Patient(), Path())->size(), 3000U); }), 6);
}

TEST_F(Budget, ListingManyDirectoriesTakesTwoRoundTripsInAllAndFiveRequestsEach) {
  std::vector<DirectoryQuery> queries;
  for (int d = 0; d < 60; ++d) {
    const std::string name = "directory-" + std::to_string(d);
    std::filesystem::create_directories(Local(name));
    for (int f = 0; f < d; ++f) {
      WriteLocal(name + "/" + std::to_string(f), "");
    }
    queries.push_back(DirectoryQuery{Path(name)});
  }
  channel_->TakeRequests();
  std::size_t listed = 0;
  EXPECT_EQ(Turns([&] {
              const Status status = fs_->ReadDirectories(
                  Patient(), queries, 1000, [&](std::size_t index, Result<DirectoryListing> listing) {
                    ASSERT_TRUE(listing.ok());
                    EXPECT_EQ(listing->entries.size(), index);
                    EXPECT_TRUE(listing->directory && listing->directory->is_directory());
                    ++listed;
                  });
              EXPECT_TRUE(status.ok());
            }),
            2);
  EXPECT_EQ(listed, 60U);
  EXPECT_EQ(channel_->TakeRequests(), (Counts{{MessageType::kOpendir, 60},
                                              {MessageType::kReaddir, 120},
                                              {MessageType::kLstat, 60},
                                              {MessageType::kClose, 60}}));
}

TEST_F(Budget, OneDirectoryOfManyThatFailsDoesNotFailTheOthers) {
  std::filesystem::create_directories(Local("small"));
  std::filesystem::create_directories(Local("big"));
  WriteLocal("small/file", "");
  for (int f = 0; f < 250; ++f) {
    WriteLocal("big/" + std::to_string(f), "");
  }
  const std::vector<DirectoryQuery> queries{{Path("missing")}, {Path("big")}, {Path("small/file")}, {Path("small")}};
  std::map<std::size_t, Result<DirectoryListing>> answers;
  ASSERT_TRUE(fs_->ReadDirectories(Patient(), queries, 200,
                                   [&](std::size_t index, Result<DirectoryListing> listing) {
                                     answers.emplace(index, std::move(listing));
                                   })
                  .ok());
  EXPECT_EQ(answers.at(0).error().code, Code::kNotFound);
  EXPECT_EQ(answers.at(1).error().code, Code::kTooBig);
  EXPECT_FALSE(answers.at(2).ok());
  EXPECT_EQ(answers.at(3)->entries.size(), 1U);
}

TEST_F(Budget, ManyPathsAreLookedAtInOneRoundTrip) {
  WriteLocal("file", "12345");
  std::vector<RemotePath> paths(100, Path("file"));
  paths.push_back(Path("missing"));
  std::size_t found = 0;
  EXPECT_EQ(Turns([&] {
              EXPECT_TRUE(fs_->LstatMany(Patient(), paths,
                                         [&](std::size_t index, Result<Attributes> seen) {
                                           EXPECT_EQ(seen.ok(), index < 100);
                                           found += seen.ok() ? 1 : 0;
                                         })
                              .ok());
            }),
            1);
  EXPECT_EQ(found, 100U);
}

TEST_F(Budget, AThousandLstatsInOneRoundTrip) {
  for (int i = 0; i < 1000; ++i) {
    WriteLocal(std::to_string(i), std::string(static_cast<std::size_t>(i), 'x'));
  }
  EXPECT_EQ(Turns([&] {
              std::vector<Request> requests;
              for (int i = 0; i < 1000; ++i) {
                requests.push_back(LstatRequest(Path(std::to_string(i)).text()));
              }
              std::vector<SftpClient::Call> calls = fs_->client().Submit(std::move(requests));
              for (std::size_t i = 0; i < calls.size(); ++i) {
                EXPECT_EQ(fs_->client().Take(Patient(), std::move(calls[i]), DecodeAttributes)->values.size, i);
              }
            }),
            1);
}

TEST_F(Budget, AFailureCostsOneLookMore) {
  std::filesystem::create_directories(Local("dir/sub"));
  EXPECT_EQ(Turns([&] { EXPECT_FALSE(fs_->MakeDirectory(Patient(), Path("dir"), 0755).ok()); }), 2);
  EXPECT_EQ(Turns([&] { EXPECT_FALSE(fs_->Open(Patient(), Path("dir"), kExclusively, 0644).ok()); }), 1);
  EXPECT_EQ(Turns([&] { EXPECT_FALSE(fs_->RemoveFile(Patient(), Path("dir")).ok()); }), 2);
  EXPECT_LE(Turns([&] { EXPECT_FALSE(fs_->RemoveDirectory(Patient(), Path("dir")).ok()); }), 4);
}

TEST_F(Budget, CopyingTakesThreeRoundTripsPerChunk) {
  WriteLocal("from", std::string(1000000, 'x'));
  OpenedFile from = MustOpen("from", kReading);
  OpenedFile to = MustOpen("to", kWriting);
  EXPECT_EQ(Turns([&] { EXPECT_EQ(*fs_->CopyRange(Patient(), *from.file, 0, *to.file, 0, 1000000), 1000000U); }), 3);
}

}  // namespace
}  // namespace bt::sftp
