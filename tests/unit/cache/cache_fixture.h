// A cache in a directory of its own, and bytes to put into it.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "cache/block_cache.h"
#include "tests/unit/cache/true_bytes.h"
#include "transport/base/page_bytes.h"
#include "transport/base/unique_fd.h"

namespace bt {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string text = (std::filesystem::temp_directory_path() / "bt-cache-XXXXXX").string();
    path_ = ::mkdtemp(text.data());
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// The next reads of the file come from the disk, where the filesystem has one.
inline void DropPages(const std::filesystem::path& file) {
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  ::fdatasync(fd.get());
  ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED);
}

class CacheTest : public ::testing::Test {
 protected:
  std::filesystem::path directory() const { return temporary_.path() / "cache"; }

  std::unique_ptr<BlockCache> OpenCache(std::uint64_t limit = 1_GiB) {
    return OpenCache({.directory = directory(), .limit = limit, .reserve = 0});
  }
  static std::unique_ptr<BlockCache> OpenCache(BlockCacheOptions options) {
    auto cache = BlockCache::Open(options);
    EXPECT_TRUE(cache.ok()) << (cache.ok() ? "" : cache.error().text);
    return cache.ok() ? std::move(*cache) : nullptr;
  }

  // Puts [offset, offset + length) of file number `file` into the cache.
  static void Store(BlockFile& blocks, std::uint64_t file, std::uint64_t offset, std::uint64_t length) {
    blocks.Commit(blocks.Stage(offset, TrueBytes(file, offset, length)));
  }

  // Reads, and holds every byte that is called good against the truth. Returns how many there were.
  static std::uint64_t ReadChecked(BlockFile& blocks, std::uint64_t file, std::uint64_t offset, std::uint64_t length) {
    const PageBytes out = MakePageBytes(length);
    std::fill_n(out.get(), length, std::byte{0xEE});
    const std::size_t good = blocks.Read(offset, {out.get(), length});
    EXPECT_LE(good, length);
    const auto truth = TrueBytes(file, offset, good);
    EXPECT_TRUE(std::equal(truth.begin(), truth.end(), out.get())) << "wrong bytes at " << offset;
    return good;
  }

  // How many bytes of the file the cache yields in all.
  static std::uint64_t GoodBytes(BlockFile& blocks, std::uint64_t file) {
    std::uint64_t good = 0;
    for (std::uint64_t at = 0; at < blocks.key().version.size; at += kGranule) {
      good += ReadChecked(blocks, file, at, kGranule);
    }
    return good;
  }

  // The block files there are.
  std::vector<std::filesystem::path> Files() const {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory())) {
      if (entry.path().extension() == ".blocks") {
        files.push_back(entry.path());
      }
    }
    return files;
  }
  std::filesystem::path PathOf(const BlockKey& key) const { return directory() / BlockFileName(key); }

  // Until it is so; fails after a minute.
  static bool Eventually(const std::function<bool()>& is_so) {
    const auto deadline = Clock::now() + std::chrono::minutes(1);
    while (!is_so()) {
      if (Clock::now() > deadline) {
        return false;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
  }

 private:
  TemporaryDirectory temporary_;
};

}  // namespace bt
