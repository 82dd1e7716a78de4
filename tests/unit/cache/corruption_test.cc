// Whatever happens to the cache's directory, not one wrong byte comes out of it, and no error.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <random>
#include <thread>

#include <fmt/format.h>

#include "tests/unit/cache/cache_fixture.h"

extern char** environ;

namespace bt {
namespace {

class Corruption : public CacheTest {
 protected:
  static constexpr std::uint64_t kFiles = 4;
  static constexpr std::uint64_t kFileBytes = 4'500'000;  // two extents

  Corruption() : seed_(std::random_device{}()), random_(seed_) { fmt::print("seed {}\n", seed_); }

  static BlockKey Key(std::uint64_t index) { return KeyOf("/f" + std::to_string(index), kFileBytes + index); }

  // Reads everything, stores what is missing, reads it again: all there, all right.
  static void ReadAndMend(BlockCache& cache) {
    for (std::uint64_t index = 0; index < kFiles; ++index) {
      const BlockKey key = Key(index);
      auto file = cache.File(key);
      for (std::uint64_t at = 0; at < key.version.size;) {
        const std::uint64_t length = std::min(5 * kGranule, key.version.size - at);
        // Each read finds one bad granule at most, and storing leaves alone what still claims to be present.
        for (int attempt = 0; attempt < 5 && ReadChecked(*file, index, at, length) < length; ++attempt) {
          Store(*file, index, at, length);
        }
        ASSERT_EQ(ReadChecked(*file, index, at, length), length) << "cannot be mended at " << at;
        at += length;
      }
    }
  }

  pid_t Spawn(std::uint64_t limit, std::uint64_t files, std::uint64_t file_bytes, std::uint64_t bytes) {
    std::vector<std::string> words{
        CACHE_FILLER,          directory().string(),       std::to_string(limit),
        std::to_string(files), std::to_string(file_bytes), std::to_string(random_() % 1'000'000),
        std::to_string(bytes)};
    std::vector<char*> arguments;
    for (std::string& word : words) {
      arguments.push_back(word.data());
    }
    arguments.push_back(nullptr);
    pid_t pid = 0;
    EXPECT_EQ(::posix_spawn(&pid, CACHE_FILLER, nullptr, nullptr, arguments.data(), environ), 0);
    return pid;
  }

  static std::uint64_t DiskBytes(const std::vector<std::filesystem::path>& files) {
    std::uint64_t bytes = 0;
    for (const auto& file : files) {
      struct stat status {};
      if (::stat(file.c_str(), &status) == 0) {
        bytes += static_cast<std::uint64_t>(status.st_blocks) * 512;
      }
    }
    return bytes;
  }

  // Two processes with one cache, several times smaller than what they read.
  void FillTogether(std::uint64_t limit, std::uint64_t file_bytes, std::uint64_t bytes_each) {
    std::vector<pid_t> pids{Spawn(limit, 8, file_bytes, bytes_each), Spawn(limit, 8, file_bytes, bytes_each)};
    std::uint64_t most = 0;
    while (!pids.empty()) {
      int status = 0;
      const pid_t ended = ::waitpid(pids.back(), &status, WNOHANG);
      if (ended != 0) {
        EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
        pids.pop_back();
        continue;
      }
      if (std::filesystem::exists(directory())) {
        try {
          most = std::max(most, DiskBytes(Files()));
        } catch (const std::filesystem::filesystem_error&) {  // evicted while we look
        }
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    fmt::print("at most {} on disk, limit {}\n", FormatByteSize(most), FormatByteSize(limit));
    EXPECT_GT(most, limit / 2) << "was it used at all?";
    EXPECT_LT(most, limit + limit / 4);
  }

  std::mt19937_64& random() { return random_; }

 private:
  std::random_device::result_type seed_;
  std::mt19937_64 random_;
};
class SoakCorruption : public Corruption {};

TEST_F(Corruption, AThousandFlippedBitsAreNeverServed) {
  auto cache = OpenCache();
  ReadAndMend(*cache);
  std::uint64_t bad = 0;
  for (int flip = 1; flip <= 1000; ++flip) {
    const auto files = Files();
    const auto& path = files.at(random()() % files.size());
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    ASSERT_GE(fd, 0);
    // A third hits maps and headers, which are small.
    const auto end = static_cast<std::uint64_t>(::lseek(fd, 0, SEEK_END));
    std::uint64_t at = random()() % end;
    if (flip % 3 == 0) {
      at = random()() % ExtentsOf(kFileBytes) * kExtentStride + random()() % 1400;
    }
    unsigned char byte = 0;
    ASSERT_GE(::pread(fd, &byte, 1, static_cast<off_t>(at)), 0);
    byte = static_cast<unsigned char>(byte ^ (1U << random()() % 8));
    ASSERT_EQ(::pwrite(fd, &byte, 1, static_cast<off_t>(at)), 1);
    ::close(fd);
    if (flip % 20 == 0) {
      bad += cache->usage().bad_granules;
      cache = flip % 40 == 0 ? OpenCache() : std::move(cache);
      if (flip % 60 == 0) {
        std::ranges::for_each(Files(), DropPages);
      }
      ReadAndMend(*cache);
    }
  }
  bad += cache->usage().bad_granules;
  EXPECT_GT(bad, 100U) << "did the flips hit anything?";
}

TEST_F(Corruption, TwoHundredTruncationsAreNeverServed) {
  auto cache = OpenCache();
  ReadAndMend(*cache);
  for (int cut = 1; cut <= 200; ++cut) {
    const auto files = Files();
    const auto& path = files.at(random()() % files.size());
    const std::uint64_t end = std::filesystem::file_size(path);
    // Some to nothing, some within the header, some into the map or the bytes.
    const std::uint64_t length = cut % 5 == 0 ? random()() % 1500 : random()() % (end + 1);
    ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(cut % 20 == 0 ? 0 : length)), 0);
    if (cut % 3 == 0) {
      cache = OpenCache();
    }
    if (cut % 10 == 0) {
      ReadAndMend(*cache);
    }
  }
}

TEST_F(Corruption, TwoHundredKillsWhileFillingLeaveNothingWrong) {
  for (int kill = 0; kill < 200; ++kill) {
    const pid_t pid = Spawn(12'000'000, kFiles, kFileBytes, 0);
    std::this_thread::sleep_for(std::chrono::microseconds(2000 + random()() % 40'000));
    ASSERT_EQ(::kill(pid, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    ASSERT_TRUE(WIFSIGNALED(status)) << "it ended by itself, with status " << status;
    if (kill % 10 == 9) {
      auto cache = OpenCache();
      std::uint64_t good = 0;
      for (std::uint64_t index = 0; index < kFiles; ++index) {
        good += GoodBytes(*cache->File(Key(index)), index);
      }
      EXPECT_EQ(cache->usage().bad_granules, 0U) << "a killed process leaves no checksum without its bytes";
      EXPECT_GT(good, 0U);
      // From nothing again, sometimes: making files is interrupted too.
      if (kill % 40 == 39) {
        std::filesystem::remove_all(directory());
      }
    }
  }
}

TEST_F(Corruption, TwoProcessesFillAndEvictTheSameFiles) { FillTogether(40_MiB, 16_MiB, 400_MiB); }

TEST_F(SoakCorruption, TwoProcessesFillAndEvictAGigabyte) { FillTogether(300_MiB, 128_MiB, 8_GiB); }

}  // namespace
}  // namespace bt
