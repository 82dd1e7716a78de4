// A cache in a directory of its own, and bytes to put into it.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cache/block_cache.h"

namespace bt {

// Byte by byte a function of the file and the position: what the server would send.
inline std::vector<std::byte> TrueBytes(std::uint64_t file, std::uint64_t offset, std::uint64_t length) {
  std::vector<std::byte> bytes(length);
  for (std::uint64_t i = 0; i < length; ++i) {
    const std::uint64_t word = ((offset + i) / 8 + 1) * 0x9E3779B97F4A7C15U + file * 0xD6E8FEB86659FD93U;
    bytes[i] = static_cast<std::byte>((word ^ (word >> 29U)) >> ((offset + i) % 8 * 8));
  }
  return bytes;
}

inline BlockKey KeyOf(const std::string& path, std::uint64_t size, std::int64_t mtime = 1'700'000'000) {
  return {.workspace = "training-job-abc1234-0",
          .path = RemotePath::Parse(path).value(),
          .version = {.size = size, .mtime = mtime}};
}

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

class CacheTest : public ::testing::Test {
 protected:
  std::filesystem::path directory() const { return temporary_.path() / "cache"; }

  std::unique_ptr<BlockCache> OpenCache(std::uint64_t limit = 1_GiB) {
    auto cache = BlockCache::Open({.directory = directory(), .limit = limit, .reserve = 0});
    EXPECT_TRUE(cache.ok()) << (cache.ok() ? "" : cache.error().text);
    return std::move(*cache);
  }

  // Puts [offset, offset + length) of file number `file` into the cache.
  static void Store(BlockFile& blocks, std::uint64_t file, std::uint64_t offset, std::uint64_t length) {
    blocks.Commit(blocks.Stage(offset, TrueBytes(file, offset, length)));
  }

  // Reads, and holds every byte that is called good against the truth. Returns how many there were.
  static std::uint64_t ReadChecked(BlockFile& blocks, std::uint64_t file, std::uint64_t offset, std::uint64_t length) {
    std::vector<std::byte> out(length, std::byte{0xEE});
    const std::size_t good = blocks.Read(offset, out);
    EXPECT_LE(good, length);
    const auto truth = TrueBytes(file, offset, good);
    EXPECT_TRUE(std::memcmp(out.data(), truth.data(), good) == 0) << "wrong bytes at " << offset;
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

 private:
  TemporaryDirectory temporary_;
};

}  // namespace bt
