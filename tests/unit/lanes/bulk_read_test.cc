#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/unit/lanes/lane_fixture.h"

namespace bt::lanes {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kBig = 24_MiB;

std::uint64_t Opens(const standin::Standin& standin) {
  const auto requests = standin.counters().sftp.requests;
  const auto found = requests.find("open");
  return found == requests.end() ? 0 : found->second;
}

TEST_F(LaneTest, SustainedReadingOpensLanesAndSpreadsTheFile) {
  const std::string content = MakeFile("big", kBig);
  Connect();
  const auto file = Open("big");
  ReadUntilConnections(*file, kBig, 3);
  const auto read = ReadAll(*file, kBig);
  ASSERT_TRUE(read.ok()) << Describe(read.error());
  EXPECT_TRUE(*read == content);
  EXPECT_GE(Opens(*standin_), 3U);  // once on each lane
  EXPECT_FALSE(session_->ended());
}

TEST_F(LaneTest, AShortTransferNeedsOneConnection) {
  MakeFile("small", 3_MiB);
  LaneOptions options = Eager();
  options.worth_a_lane = 4_MiB;
  Connect(options);
  const auto file = Open("small");
  ASSERT_TRUE(ReadAll(*file, 3_MiB).ok());
  EXPECT_EQ(dialer_->dials(), 1);
  EXPECT_EQ(session_->connections(), 1U);
}

TEST_F(LaneTest, ANearServerGetsNoMoreLanesThanThereAreProcessors) {
  MakeFile("big", kBig);
  const unsigned processors = std::max(1U, std::thread::hardware_concurrency());
  LaneOptions options = Eager();
  options.connections = processors + 1;
  for (const bool near : {true, false}) {
    options.near = near ? 1h : 0h;
    Connect(options);
    const auto file = Open("big");
    ReadUntilConnections(*file, kBig, 1 + processors + (near ? 0 : 1));
    const int dials_before = dialer_->dials();
    for (int round = 0; round < 3; ++round) {
      ASSERT_TRUE(ReadAll(*file, kBig).ok());
    }
    EXPECT_EQ(dialer_->dials(), dials_before);
    EXPECT_EQ(session_->connections(), 1 + processors + (near ? 0 : 1));
  }
}

TEST_F(LaneTest, SmallReadsNeverOpenLanes) {
  MakeFile("big", kBig);
  Connect();
  const auto file = Open("big");
  std::vector<std::byte> out(LaneFile::kSmall);
  for (std::size_t at = 0; at < kBig; at += 1_MiB) {
    ASSERT_TRUE(file->Read(Soon(), at, out).ok());
  }
  EXPECT_EQ(dialer_->dials(), 1);
}

TEST_F(LaneTest, ALaneThatDiesGivesItsReadsToTheOthers) {
  const std::string content = MakeFile("big", kBig);
  Connect();
  const auto file = Open("big");
  ReadUntilConnections(*file, kBig, 3);
  std::jthread killer([this](const std::stop_token& stop) {
    for (int killed = 0; killed < 3 && !stop.stop_requested();) {
      const auto servers = Servers();
      if (servers.size() > 1) {
        KillYoungestServer();
        ++killed;
      }
      std::this_thread::sleep_for(150ms);
    }
  });
  for (int round = 0; round < 6; ++round) {
    const auto read = ReadAll(*file, kBig);
    ASSERT_TRUE(read.ok()) << Describe(read.error());
    ASSERT_TRUE(*read == content);
  }
  EXPECT_FALSE(session_->ended());
}

TEST_F(LaneTest, WhatRefusesMoreConnectionsIsUsedAsItIs) {
  const std::string content = MakeFile("big", kBig);
  standin_->link().SetMaxConnections(2);
  Connect();
  const auto file = Open("big");
  ReadUntilConnections(*file, kBig, 2);
  for (int round = 0; round < 3; ++round) {
    const auto read = ReadAll(*file, kBig);
    ASSERT_TRUE(read.ok()) << Describe(read.error());
    ASSERT_TRUE(*read == content);
  }
  EXPECT_EQ(session_->connections(), 2U);
  EXPECT_LE(dialer_->dials(), 3);  // the refusal was learnt
}

TEST_F(LaneTest, ARefusalIsTriedAgainAfterAWhile) {
  MakeFile("big", kBig);
  dialer_->RefuseLanes(true);
  LaneOptions options = Eager();
  options.first_retry = 50ms;
  options.last_retry = 50ms;
  Connect(options);
  const auto file = Open("big");
  ASSERT_TRUE(Eventually([&] { return ReadAll(*file, kBig).ok() && dialer_->dials() > 2; }));
  EXPECT_EQ(session_->connections(), 1U);
  dialer_->RefuseLanes(false);
  ReadUntilConnections(*file, kBig, 2);
}

TEST_F(LaneTest, ALaneToAnotherContainerIsRefused) {
  const std::string content = MakeFile("big", kBig);
  dialer_->PretendHostKey("SHA256:another");
  Connect();
  const auto file = Open("big");
  ASSERT_TRUE(Eventually([&] { return ReadAll(*file, kBig).ok() && dialer_->dials() > 1; }));
  const auto read = ReadAll(*file, kBig);
  ASSERT_TRUE(read.ok());
  EXPECT_TRUE(*read == content);
  EXPECT_EQ(session_->connections(), 1U);
  EXPECT_TRUE(Eventually([&] { return standin_->link().counters().open == 1; }));
}

TEST_F(LaneTest, IdleLanesAreClosedAndOpenedAgain) {
  const std::string content = MakeFile("big", kBig);
  LaneOptions options = Eager();
  options.idle = 300ms;
  Connect(options);
  const auto file = Open("big");
  ReadUntilConnections(*file, kBig, 3);
  EXPECT_TRUE(Eventually([&] { return session_->connections() == 1; }));
  EXPECT_TRUE(Eventually([&] { return standin_->link().counters().open == 1; }));
  EXPECT_FALSE(session_->ended());
  ReadUntilConnections(*file, kBig, 2);
  const auto read = ReadAll(*file, kBig);
  ASSERT_TRUE(read.ok());
  EXPECT_TRUE(*read == content);
}

TEST_F(LaneTest, AbortEndsAllLanesAndLeavesNothingOpen) {
  MakeFile("big", kBig);
  const auto descriptors = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator());
  };
  const auto threads = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/task"), std::filesystem::directory_iterator());
  };
  long descriptors_after_first = 0;
  long threads_after_first = 0;
  for (int round = 0; round < 3; ++round) {
    Connect();
    auto file = Open("big");
    ReadUntilConnections(*file, kBig, 3);
    session_->Abort(Error{Code::kDisconnected, "cut by the test", "test.cut", Fate::kUnknown});
    EXPECT_TRUE(Eventually([&] { return session_->ended().has_value(); }));
    EXPECT_FALSE(ReadAll(*file, kBig).ok());
    EXPECT_TRUE(Eventually([&] { return standin_->link().counters().open == 0; }));
    file.reset();
    session_.reset();
    if (round == 0) {
      descriptors_after_first = descriptors();
      threads_after_first = threads();
    }
  }
  EXPECT_TRUE(Eventually([&] { return descriptors() <= descriptors_after_first && threads() <= threads_after_first; }))
      << descriptors() << " descriptors, " << threads() << " threads";
}

TEST_F(LaneTest, AReplacedFileIsNotReadByItsName) {
  const std::string content = MakeFile("big", kBig);
  MakeFile("other", kBig);
  Connect();
  const auto file = Open("big");
  const auto warm = Open("other");
  // Another file of the same size and age: what tells them apart is that this mount renamed it.
  ASSERT_TRUE(fs().Rename(Soon(), Path("other"), Path("big"), RenameMode::kReplace).ok());
  MakeFile("warm", kBig);
  ReadUntilConnections(*Open("warm"), kBig, 3);
  const auto read = ReadAll(*file, kBig);
  ASSERT_TRUE(read.ok()) << Describe(read.error());
  EXPECT_TRUE(*read == content);
}

TEST_F(LaneTest, AFileReplacedOnTheServerIsNotReadByItsName) {
  const std::string content = MakeFile("big", kBig);
  MakeFile("warm", kBig);
  Connect();
  const auto file = Open("big");
  ReadUntilConnections(*Open("warm"), kBig, 3);
  std::ofstream(LocalPath("new"), std::ios::binary) << Content("new", kBig);
  ASSERT_EQ(std::rename(LocalPath("new").c_str(), LocalPath("big").c_str()), 0);
  const auto read = ReadAll(*file, kBig);
  ASSERT_TRUE(read.ok()) << Describe(read.error());
  EXPECT_TRUE(*read == content);
}

TEST_F(LaneTest, AStatDuringBulkTransferTakesNoMoreThanTwoRoundTripsMore) {
  constexpr auto kRtt = 60ms;
  const std::string content = MakeFile("big", kBig);
  standin_->SetRtt(kRtt);
  standin_->link().SetWindow(1_MiB);
  Connect();
  const auto file = Open("big");
  const auto median = [&](int tries) {
    std::vector<Duration> times;
    for (int i = 0; i < tries; ++i) {
      const TimePoint began = Clock::now();
      EXPECT_FALSE(fs().Lstat(Soon(), Path("nothing" + std::to_string(i))).ok());
      times.push_back(Clock::now() - began);
    }
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
  };
  ReadUntilConnections(*file, kBig, 3);
  const Duration idle = median(11);
  std::atomic<bool> enough{false};
  std::jthread reader([&] {
    while (!enough) {
      EXPECT_TRUE(ReadAll(*file, kBig).ok());
    }
  });
  const Duration loaded = median(11);
  enough = true;
  EXPECT_LT(loaded, idle + 2 * kRtt);
}

}  // namespace
}  // namespace bt::lanes
