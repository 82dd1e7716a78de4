// What the disk keeps of the files that are read, and what it must not keep.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "cache/file_reader.h"
#include "tests/unit/cache/reading_fixture.h"
#include "transport/base/units.h"

namespace bt {
namespace {

using ReadingWithDisk = ReadingTest;  // contents are compared with ==, see file_reader_test.cc

TEST_F(ReadingWithDisk, KeepsASettledVersionOnDiskForTheNextMount) {
  UseDisk();
  const std::string content = Pattern(5_MiB + 7);
  remote_.WriteFile("/data/big", content);
  Settle();
  EXPECT_TRUE(ReadOnce("/data/big") == content);
  Remount();
  EXPECT_TRUE(ReadOnce("/data/big") == content);
  EXPECT_EQ(remote_.script().count(FakeOp::kRead), 0U);
}

TEST_F(ReadingWithDisk, BringsFromTheDiskWhatABigReadWillWantAndFromTheServerWhatThatHasNot) {
  UseDisk();
  const std::string content = Pattern(24_MiB + 5);
  remote_.WriteFile("/data/big", content);
  Settle();
  {
    const auto reader = OpenFile("/data/big");
    for (const std::uint64_t at : {0_MiB, 5_MiB, 9_MiB}) {  // with holes between them
      EXPECT_TRUE(Read(*reader, at, 3_MiB) == content.substr(at, 3_MiB));
    }
    reader->Close();
  }
  for (int round = 0; round < 3; ++round) {
    Remount();
    if (round == 2) {  // bytes that were there when they were planned, and do not verify
      for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ / "cache")) {
        if (entry.path().extension() == ".blocks") {
          std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
          for (std::uint64_t at = 2_MiB; at < 24_MiB; at += 700'000) {
            file.seekp(static_cast<std::streamoff>(at));
            file << "wrong";
          }
        }
      }
    }
    EXPECT_TRUE(ReadOnce("/data/big") == content);
    if (round == 1) {
      EXPECT_EQ(remote_.script().count(FakeOp::kRead), 0U);
    }
  }
}

TEST_F(ReadingWithDisk, KeepsOnDiskWhatIsStillBeingWrittenThereWhenTheFileIsClosed) {
  UseDisk();
  const std::string content = Pattern(6_MiB);
  const auto path = [](int i) { return "/data/" + std::to_string(i); };
  for (int i = 0; i < 20; ++i) {
    remote_.WriteFile(path(i), content);
  }
  Settle();
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(ReadOnce(path(i)) == content);
  }
  Remount();
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(ReadOnce(path(i)) == content);
  }
  EXPECT_EQ(remote_.script().count(FakeOp::kRead), 0U);
}

TEST_F(ReadingWithDisk, KeepsNothingOfAnUnsettledVersion) {
  UseDisk();
  remote_.WriteFile("/data/f", Pattern(1_MiB, 1));
  EXPECT_TRUE(ReadOnce("/data/f") == Pattern(1_MiB, 1));
  remote_.WriteFile("/data/f", Pattern(1_MiB, 2));  // within the same second: the attributes do not show it
  Settle();
  EXPECT_TRUE(ReadOnce("/data/f") == Pattern(1_MiB, 2));
  Remount();
  EXPECT_TRUE(ReadOnce("/data/f") == Pattern(1_MiB, 2));
}

TEST_F(ReadingWithDisk, KeepsNothingThatWasNotConfirmed) {
  UseDisk();
  options_.freshness = std::chrono::milliseconds(0);
  remote_.WriteFile("/data/f", Pattern(1_MiB, 1));
  Settle();
  {
    const auto reader = OpenFile("/data/f");
    remote_.script().OnNextCall(FakeOp::kRead, Fault::Do([this] {
                                  remote_.WriteFile(
                                      "/data/f", Pattern(1_MiB, 2));  // between the look at the version and the bytes
                                }));
    Read(*reader, 600'000, 1000);
    reader->Close();
  }
  Remount();
  remote_.WriteFile("/data/f", Pattern(1_MiB, 1));
  AttributeChange change;
  change.times = AttributeChange::Times{FakeRemoteFs::kStartTime, FakeRemoteFs::kStartTime};
  remote_.Change("/data/f", change);  // as it was when the handle was opened
  EXPECT_TRUE(ReadOnce("/data/f") == Pattern(1_MiB, 1));
}

TEST_F(ReadingWithDisk, ForgetsWhatLooksTheSameAfterAChangeFromHere) {
  UseDisk();
  remote_.WriteFile("/data/f", Pattern(500'000, 1));
  Settle();
  std::shared_ptr<FileReader> reader = OpenFile("/data/f");
  EXPECT_TRUE(ReadAll(*reader) == Pattern(500'000, 1));
  const std::int64_t mtime = remote_.AttributesOf("/data/f").mtime;
  remote_.WriteFile("/data/f", Pattern(500'000, 2));  // stands for writes of this mount that set the time back
  AttributeChange change;
  change.times = AttributeChange::Times{mtime, mtime};
  remote_.Change("/data/f", change);
  static_cast<void>(cache().epochs().Begin({RemotePath::Parse("/data/f").value()}, PathEpochs::Kind::kFile));
  changed_at_ = Clock::now();
  EXPECT_TRUE(ReadAll(*reader) == Pattern(500'000, 2));
  EXPECT_TRUE(ReadOnce("/data/f") == Pattern(500'000, 2));
  reader->Close();
  reader.reset();
  Remount();
  EXPECT_TRUE(ReadOnce("/data/f") == Pattern(500'000, 2));
}

TEST_F(ReadingWithDisk, NeverTakesAFileForAnotherOfTheSameSizeAndTimeThatWasMovedToItsPlace) {
  UseDisk();
  const RemotePath a = RemotePath::Parse("/data/a").value();
  const RemotePath b = RemotePath::Parse("/data/b").value();
  const RemotePath t = RemotePath::Parse("/data/t").value();
  remote_.MakeDirs("/data/a/deep");
  remote_.MakeDirs("/data/b/deep");
  remote_.WriteFile("/data/a/deep/f", Pattern(500'000, 1));
  remote_.WriteFile("/data/b/deep/f", Pattern(500'000, 2));
  Settle();
  ReadCache other(options_);  // another mount of the workspace
  std::shared_ptr<FileReader> before = OpenFile("/data/a/deep/f");
  EXPECT_TRUE(Read(*before, 0, 100'000) == Pattern(500'000, 1).substr(0, 100'000));
  EXPECT_TRUE(ReadOnce("/data/b/deep/f") == Pattern(500'000, 2));
  {
    const auto change = other.epochs().Begin({a, b, t}, PathEpochs::Kind::kTree);
    ASSERT_TRUE(remote_.Rename(Soon(), a, t, RenameMode::kReplace).ok());
    ASSERT_TRUE(remote_.Rename(Soon(), b, a, RenameMode::kReplace).ok());
    ASSERT_TRUE(remote_.Rename(Soon(), t, b, RenameMode::kReplace).ok());
    EXPECT_TRUE(ReadOnce("/data/a/deep/f") == Pattern(500'000, 2));
  }
  // The open file goes on, and what it brings is not kept for the path.
  EXPECT_TRUE(ReadAll(*before) == Pattern(500'000, 1));
  before->Close();
  before.reset();
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(ReadOnce("/data/a/deep/f") == Pattern(500'000, 2));
    EXPECT_TRUE(ReadOnce("/data/b/deep/f") == Pattern(500'000, 1));
    Remount();
  }
}

TEST_F(ReadingWithDisk, KeepsTheBeginningOfAFileThatGrew) {
  UseDisk();
  options_.freshness = std::chrono::milliseconds(0);
  const std::string content = Pattern(4_MiB + 1000);
  remote_.WriteFile("/data/log", content);
  Settle();
  EXPECT_TRUE(ReadOnce("/data/log") == content);
  Remount();  // when the disk has all of it
  const auto reader = OpenFile("/data/log");
  Read(*reader, 0, 10);
  remote_.AppendFile("/data/log", Pattern(1000, 2));
  Read(*reader, 0, 10);  // sees the longer version
  Settle();
  Read(*reader, 0, 10);  // sees it settled
  remote_.script().ForgetCalls();
  EXPECT_TRUE(ReadAll(*reader) == content + Pattern(1000, 2));
  EXPECT_LT(BytesFetched(), 4 * kGranule);
  reader->Close();
}

TEST_F(ReadingWithDisk, AnswersFromWhatIsThereWhileTheLinkIsDown) {
  options_.freshness = std::chrono::milliseconds(0);
  UseDisk();
  remote_.WriteFile("/data/f", Pattern(300'000));
  Settle();
  const auto reader = OpenFile("/data/f");
  EXPECT_TRUE(ReadAll(*reader) == Pattern(300'000));
  Read(*reader, 0, 10);
  remote_.script().Hold(FakeOp::kFileStat);
  remote_.script().Hold(FakeOp::kRead);
  known_.reachable = false;
  EXPECT_TRUE(ReadAll(*reader) == Pattern(300'000));
  known_.reachable = true;  // but silent: nobody has noticed yet
  EXPECT_TRUE(Read(*reader, 1000, 1000) == Pattern(300'000).substr(1000, 1000));
  remote_.script().Release(FakeOp::kFileStat);
  remote_.script().Release(FakeOp::kRead);
  reader->Close();
}

// A second writer does on the server's side what no attribute shows at once; whoever opens the file afterwards must
// read what is there.
TEST_F(ReadingWithDisk, OfAFreshHandleIsRightWhateverASecondWriterDid) {
  UseDisk();
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const auto one_of = [&random](unsigned n) { return std::uniform_int_distribution<unsigned>(0, n - 1)(random); };
  std::string truth = Pattern(200'000, 1);
  remote_.WriteFile("/data/f", truth);
  std::shared_ptr<FileReader> old_handle = OpenFile("/data/f");
  for (int step = 0; step < 10'000; ++step) {
    switch (one_of(8)) {
      case 0:  // in place, same size
        truth = Pattern(truth.size(), random());
        remote_.WriteFile("/data/f", truth);
        break;
      case 1: {  // replaced by rename, often of the same size and second
        truth = Pattern(one_of(2) == 0 ? truth.size() : 1 + one_of(300'000), random());
        remote_.WriteFile("/data/new", truth);
        remote_.Move("/data/new", "/data/f");
        break;
      }
      case 2:
        truth.resize(one_of(static_cast<unsigned>(truth.size()) + 1));
        remote_.WriteFile("/data/f", truth);
        break;
      case 3: {
        const std::string more = Pattern(1 + one_of(50'000), random());
        truth += more;
        remote_.AppendFile("/data/f", more);
        break;
      }
      case 4:
        Pass(one_of(8));
        break;
      default: {
        const auto reader = OpenFile("/data/f");
        if (one_of(3) == 0) {
          ASSERT_TRUE(ReadAll(*reader) == truth) << "step " << step;
        } else if (!truth.empty()) {
          const std::size_t offset = one_of(static_cast<unsigned>(truth.size()));
          const std::size_t length = 1 + one_of(40'000);
          ASSERT_TRUE(Read(*reader, offset, length) == truth.substr(offset, length)) << "step " << step;
        }
        reader->Close();
        if (one_of(4) == 0) {  // now and then one stays open, so that versions are shared
          old_handle->Close();
          old_handle = reader;
        }
      }
    }
    if (truth.size() > 400'000) {
      truth.resize(100'000);
      remote_.WriteFile("/data/f", truth);
    }
  }
  old_handle->Close();
}

}  // namespace
}  // namespace bt
