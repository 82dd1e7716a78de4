#include "cache/file_reader.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/unit/cache/reading_fixture.h"
#include "transport/base/units.h"

namespace bt {
namespace {

using Reading = ReadingTest;  // contents are compared with ==, since printing the difference of megabytes takes minutes

TEST_F(Reading, BringsEachByteOfASequentialReadOnce) {
  const std::string content = Pattern(20_MiB + 12'345);
  remote_.WriteFile("/data/big", content);
  Settle();
  EXPECT_TRUE(ReadOnce("/data/big") == content);
  EXPECT_EQ(BytesFetched(), content.size());
  EXPECT_LT(remote_.script().count(FakeOp::kRead), 60U);  // not one for each of the kernel's 160 requests
}

TEST_F(Reading, FetchesOnlyTheGranulesThatCoverARandomRead) {
  const std::string content = Pattern(8_MiB);
  remote_.WriteFile("/data/big", content);
  Settle();
  const auto reader = OpenFile("/data/big");
  EXPECT_TRUE(Read(*reader, 3_MiB + 4096, 64_KiB) == content.substr(3_MiB + 4096, 64_KiB));
  EXPECT_EQ(BytesFetched(), 3 * kGranule);
  reader->Close();
}

TEST_F(Reading, FetchesABlockOnceThoughManyMissItAtTheSameTime) {
  const std::string content = Pattern(1_MiB);
  remote_.WriteFile("/data/f", content);
  Settle();
  const auto reader = OpenFile("/data/f");
  remote_.script().Hold(FakeOp::kRead);
  std::vector<std::jthread> readers;
  std::atomic<int> right{0};
  for (int i = 0; i < 8; ++i) {
    readers.emplace_back([&] { right += Read(*reader, 512_KiB, 32_KiB) == content.substr(512_KiB, 32_KiB) ? 1 : 0; });
  }
  ASSERT_TRUE(remote_.script().WaitUntilHeld(FakeOp::kRead, 1));
  remote_.script().Release(FakeOp::kRead);
  readers.clear();
  EXPECT_EQ(right, 8);
  std::uint64_t fetched = 0;
  for (const FakeCall& call : remote_.script().calls(FakeOp::kRead)) {
    fetched += call.offset <= 512_KiB && call.offset + call.length > 512_KiB ? 1 : 0;
  }
  EXPECT_EQ(fetched, 1U);
  reader->Close();
}

TEST_F(Reading, ReportsTheErrorOfTheServerToTheOneWhoAsked) {
  remote_.WriteFile("/data/f", Pattern(1_MiB));
  Settle();
  const auto reader = OpenFile("/data/f");
  remote_.script().OnEveryCall(FakeOp::kRead, Fault::NotDone({Code::kPermissionDenied, "no", "test"}));
  std::vector<std::byte> out(100);
  const auto got = reader->Read(Soon(), known_, 0, out);
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code, Code::kPermissionDenied);
  remote_.script().Clear();
  EXPECT_EQ(Read(*reader, 0, 100).size(), 100U);
  reader->Close();
}

TEST_F(Reading, IsEndedByAnInterrupt) {
  remote_.WriteFile("/data/f", Pattern(1_MiB));
  Settle();
  const auto reader = OpenFile("/data/f");
  remote_.script().Hold(FakeOp::kRead);
  std::stop_source stop;
  Code code = Code::kInternal;
  std::jthread caller([&] {
    std::vector<std::byte> out(100);
    const auto got = reader->Read({TimePoint::max(), stop.get_token()}, known_, 500'000, out);
    code = got.ok() ? Code::kInternal : got.error().code;
  });
  ASSERT_TRUE(remote_.script().WaitUntilHeld(FakeOp::kRead, 1));
  stop.request_stop();
  caller.join();
  EXPECT_EQ(code, Code::kInterrupted);
  remote_.script().Release(FakeOp::kRead);
  reader->Close();
}

TEST_F(Reading, OfANewHandleDoesNotSeeWhatAnUnsettledVersionWas) {
  remote_.WriteFile("/data/f", Pattern(100'000, 1));
  const auto first = OpenFile("/data/f");
  EXPECT_TRUE(ReadAll(*first) == Pattern(100'000, 1));
  remote_.WriteFile("/data/f", Pattern(100'000, 2));
  EXPECT_TRUE(ReadOnce("/data/f") == Pattern(100'000, 2));
  first->Close();
}

TEST_F(Reading, SeesAFileThatWasRewritten) {
  options_.freshness = std::chrono::milliseconds(0);
  remote_.WriteFile("/data/f", Pattern(300'000, 1));
  Settle();
  const auto reader = OpenFile("/data/f");
  EXPECT_TRUE(ReadAll(*reader) == Pattern(300'000, 1));
  remote_.WriteFile("/data/f", Pattern(300'000, 2));
  EXPECT_TRUE(ReadAll(*reader) == Pattern(300'000, 2));
  reader->Close();
}

TEST_F(Reading, SeesWhatWasAppendedAsSoonAsItsNameShowsIt) {
  remote_.WriteFile("/data/log", "one\n");
  Settle();
  const auto reader = OpenFile("/data/log");
  EXPECT_EQ(ReadAll(*reader), "one\n");
  remote_.AppendFile("/data/log", "two\n");
  known_.seen = FileVersion{8, remote_.AttributesOf("/data/log").mtime};
  known_.seen_at = Clock::now();
  EXPECT_EQ(ReadAll(*reader), "one\ntwo\n");
  reader->Close();
}

TEST_F(Reading, OfAFileThatWasCutEndsWhereTheFileEnds) {
  remote_.WriteFile("/data/f", Pattern(1_MiB));
  Settle();
  const auto reader = OpenFile("/data/f");
  remote_.WriteFile("/data/f", Pattern(1000));
  EXPECT_TRUE(Read(*reader, 500, 1000) == Pattern(1000).substr(500));
  EXPECT_EQ(Read(*reader, 5000, 1000), "");
  reader->Close();
}

TEST_F(Reading, GivesItsMemoryBackWhenNobodyReads) {
  const std::string content = Pattern(16_MiB);
  remote_.WriteFile("/data/big", content);
  Settle();
  const auto reader = OpenFile("/data/big");
  EXPECT_EQ(Read(*reader, 0, 1_MiB).size(), 1_MiB);
  EXPECT_EQ(Read(*reader, 1_MiB, 1_MiB).size(), 1_MiB);
  EXPECT_GT(cache().memory_used(), 0U);
  const TimePoint patience = Clock::now() + std::chrono::seconds(30);
  while (cache().memory_used() > 0 && Clock::now() < patience) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(cache().memory_used(), 0U);
  reader->Close();
}

TEST_F(Reading, LooksAheadInManyFilesNotMuchFartherThanInOne) {
  constexpr std::uint64_t kFiles = 8;
  std::vector<std::shared_ptr<FileReader>> readers;
  for (std::uint64_t i = 0; i < kFiles; ++i) {
    remote_.WriteFile("/data/" + std::to_string(i), Pattern(16_MiB));
  }
  Settle();
  for (std::uint64_t i = 0; i < kFiles; ++i) {
    readers.push_back(OpenFile("/data/" + std::to_string(i)));
  }
  for (std::uint64_t at = 0; at < 6_MiB; at += 128_KiB) {
    for (const auto& reader : readers) {
      EXPECT_EQ(Read(*reader, at, 128_KiB).size(), 128_KiB);
    }
  }
  std::uint64_t fetched = 0;
  do {
    fetched = BytesFetched();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  } while (fetched != BytesFetched());
  EXPECT_GE(fetched, kFiles * 6_MiB);
  EXPECT_LE(fetched, kFiles * (6_MiB + 5_MiB / 2)) << "alone, a file looks 4 MiB ahead";
  for (const auto& reader : readers) {
    reader->Close();
  }
}

TEST_F(Reading, StaysWithinItsBudget) {
  options_.memory = 4_MiB;
  const std::string content = Pattern(16_MiB);
  std::vector<std::jthread> readers;
  std::atomic<int> right{0};
  std::atomic<std::uint64_t> most{0};
  for (int i = 0; i < 8; ++i) {
    remote_.WriteFile("/data/" + std::to_string(i), content);
  }
  Settle();
  cache();
  for (int i = 0; i < 8; ++i) {
    readers.emplace_back([&, i] {
      const auto reader = OpenFile("/data/" + std::to_string(i));
      std::string all;
      while (all.size() < content.size()) {
        all += Read(*reader, all.size(), 128_KiB);
        most = std::max(most.load(), cache().memory_used());
      }
      right += all == content ? 1 : 0;
      reader->Close();
    });
  }
  readers.clear();
  EXPECT_EQ(right, 8);
  EXPECT_LE(most, 4_MiB + 8 * 2 * 160_KiB);  // what somebody waits for is always granted
}

}  // namespace
}  // namespace bt
