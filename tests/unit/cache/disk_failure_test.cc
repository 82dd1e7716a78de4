// A disk that is full, read-only or gone: reads go on, nothing is stored, one warning.
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <atomic>
#include <fstream>

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include "tests/unit/cache/cache_fixture.h"

namespace bt {
namespace {

class CountingSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  int warnings() const { return warnings_; }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    warnings_ += message.level >= spdlog::level::warn ? 1 : 0;
  }
  void flush_() override {}
  std::atomic<int> warnings_{0};
};

class DiskFailureTest : public CacheTest {
 protected:
  void SetUp() override {
    log_ = std::make_shared<CountingSink>();
    before_ = spdlog::default_logger();
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("test", log_));
  }
  void TearDown() override {
    spdlog::set_default_logger(before_);
    if (mounted_) {
      ::umount2(disk().c_str(), MNT_DETACH);
    }
  }

  // A disk of its own, in a namespace of its own, so that nothing is left when the test dies.
  void MountDisk() {
    const int spaces = ::geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS;
    ASSERT_EQ(::unshare(spaces), 0) << "needs root or user namespaces: " << std::strerror(errno);
    ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0) << std::strerror(errno);
    std::filesystem::create_directories(disk());
    ASSERT_EQ(::mount("tmpfs", disk().c_str(), "tmpfs", 0, "size=8m,mode=0700"), 0) << std::strerror(errno);
    mounted_ = true;
  }
  std::filesystem::path disk() const { return directory().parent_path() / "disk"; }

  std::unique_ptr<BlockCache> OpenOnDisk() {
    return OpenCache(
        {.directory = disk() / "cache", .limit = 1_GiB, .reserve = 0, .retry_after = std::chrono::milliseconds(100)});
  }
  int warnings() const { return log_->warnings(); }

 private:
  std::shared_ptr<CountingSink> log_;
  std::shared_ptr<spdlog::logger> before_;
  bool mounted_ = false;
};

TEST_F(DiskFailureTest, AFullDiskKeepsWhatItHasAndWarnsOnce) {
  MountDisk();
  auto cache = OpenOnDisk();
  std::ofstream(disk() / "others").write(std::string(5_MiB, 'x').data(), 5_MiB);
  auto file = cache->File(KeyOf("/a", 32_MiB));
  for (std::uint64_t at = 0; at < 32_MiB; at += 256_KiB) {
    Store(*file, 1, at, 256_KiB);
    ReadChecked(*file, 1, at, 256_KiB);
  }
  GoodBytes(*file, 1);
  EXPECT_EQ(warnings(), 1);
  // Once there is room, it is used again.
  std::filesystem::remove(disk() / "others");
  auto other = cache->File(KeyOf("/b", 1_MiB));
  EXPECT_TRUE(Eventually([&] {
    Store(*other, 2, 0, 1_MiB);
    return GoodBytes(*other, 2) == 1_MiB;
  }));
  EXPECT_EQ(warnings(), 1);
}

TEST_F(DiskFailureTest, AReadOnlyDiskServesWhatItHasAndWarnsOnce) {
  MountDisk();
  {
    auto cache = OpenOnDisk();
    Store(*cache->File(KeyOf("/a", 2_MiB)), 1, 0, 1_MiB);
  }
  ASSERT_EQ(::mount(nullptr, disk().c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr), 0) << std::strerror(errno);
  auto cache = OpenOnDisk();
  auto file = cache->File(KeyOf("/a", 2_MiB));
  EXPECT_EQ(GoodBytes(*file, 1), 1_MiB);
  EXPECT_EQ(warnings(), 0) << "reading is no reason to warn";
  for (int i = 0; i < 10; ++i) {
    Store(*file, 1, 1_MiB, 1_MiB);
    Store(*cache->File(KeyOf("/b", 1_MiB)), 2, 0, 1_MiB);
  }
  EXPECT_EQ(GoodBytes(*file, 1), 1_MiB);
  EXPECT_EQ(warnings(), 1);
  EXPECT_TRUE(Eventually([&] {  // told only until the next try is due
    Store(*file, 1, 1_MiB, 1_MiB);
    return !cache->usage().trouble.empty();
  }));
  ASSERT_EQ(::mount(nullptr, disk().c_str(), nullptr, MS_REMOUNT, nullptr), 0) << std::strerror(errno);
  EXPECT_TRUE(Eventually([&] {
    Store(*file, 1, 1_MiB, 1_MiB);
    return GoodBytes(*file, 1) == 2_MiB;
  }));
}

TEST_F(DiskFailureTest, ARemovedDirectoryIsMadeAgain) {
  auto cache = OpenCache();
  auto file = cache->File(KeyOf("/a", 1_MiB));
  Store(*file, 1, 0, 1_MiB);
  std::filesystem::remove_all(directory());
  Store(*file, 1, 0, 1_MiB);
  EXPECT_EQ(GoodBytes(*OpenCache()->File(KeyOf("/a", 1_MiB)), 1), 1_MiB);
  EXPECT_EQ(warnings(), 0);
}

TEST_F(DiskFailureTest, ADirectoryThatCannotBeMadeAgainIsOneWarning) {
  const std::filesystem::path place = directory().parent_path() / "place";
  auto cache = OpenCache(
      {.directory = place / "cache", .limit = 1_GiB, .reserve = 0, .retry_after = std::chrono::milliseconds(1)});
  auto file = cache->File(KeyOf("/a", 1_MiB));
  Store(*file, 1, 0, 1_MiB);
  std::filesystem::remove_all(place);
  for (std::uint64_t i = 0; i < 20; ++i) {
    auto other = cache->File(KeyOf("/f" + std::to_string(i), 1_MiB));
    Store(*other, i, 0, 1_MiB);
    EXPECT_EQ(GoodBytes(*other, i), 0U);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  EXPECT_EQ(warnings(), 1);
  std::filesystem::create_directories(place);
  EXPECT_TRUE(Eventually([&] {
    Store(*file, 1, 0, 1_MiB);
    return GoodBytes(*file, 1) == 1_MiB;
  }));
}

}  // namespace
}  // namespace bt
