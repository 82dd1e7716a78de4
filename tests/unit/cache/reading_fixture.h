// A ReadCache over a FakeRemoteFs and a block cache in a folder of its own.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "cache/read_cache.h"
#include "tests/support/fake_remote_fs/fake_remote_fs.h"

namespace bt {

class ReadingTest : public ::testing::Test {
 protected:
  ReadingTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "bt-reading.XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    options_.workspace = "test-0";
    options_.freshness = std::chrono::hours(1);  // no test depends on how fast it runs
    remote_.MakeDirs("/data");
  }
  ~ReadingTest() override {
    cache_.reset();
    options_.disk.reset();
    std::filesystem::remove_all(folder_);
  }

  static OpContext Soon() { return OpContext::WithTimeout(std::chrono::seconds(30)); }

  void UseDisk() {
    BlockCacheOptions options;
    options.directory = folder_ / "cache";
    options.reserve = 0;
    options_.disk = BlockCache::Open(options).value();
  }
  ReadCache& cache() {
    if (cache_ == nullptr) {
      cache_ = std::make_unique<ReadCache>(options_);
      TellTime();
    }
    return *cache_;
  }
  // As after an unmount: only the disk remembers.
  void Remount() {
    cache().Finish(Soon());
    cache_.reset();
    remote_.script().ForgetCalls();
  }

  void Pass(std::int64_t seconds) {
    remote_.AdvanceClock(seconds);
    now_ += seconds;
    TellTime();
  }
  // What was written by now is settled.
  void Settle() { Pass(ServerClock::kMargin); }

  std::shared_ptr<FileReader> OpenFile(const std::string& path) {
    const RemotePath parsed = RemotePath::Parse(path).value();
    const auto epoch = cache().epochs().Of(parsed);
    const TimePoint asked_at = Clock::now();
    OpenedFile opened = remote_.Open(Soon(), parsed, OpenFlags{.read = true}, 0).value();
    return cache().Open(
        {std::move(opened.file), parsed, opened.attributes, asked_at, true, [this] { return changed_at_; }, epoch});
  }
  std::string Read(FileReader& reader, std::uint64_t offset, std::size_t length) const {
    std::string text(length, '?');
    const auto got = reader.Read(Soon(), known_, offset, std::as_writable_bytes(std::span(text)));
    EXPECT_TRUE(got.ok()) << (got.ok() ? "" : Describe(got.error()));
    text.resize(got.ok() ? *got : 0);
    return text;
  }
  // In pieces, as the kernel asks.
  std::string ReadAll(FileReader& reader, std::size_t piece = 128U << 10U) const {
    std::string all;
    for (;;) {
      const std::string part = Read(reader, all.size(), piece);
      all += part;
      if (part.size() < piece) {
        return all;
      }
    }
  }
  std::string ReadOnce(const std::string& path) {
    const auto reader = OpenFile(path);
    std::string all = ReadAll(*reader);
    reader->Close();
    return all;
  }

  std::uint64_t BytesFetched() {
    std::uint64_t bytes = 0;
    for (const FakeCall& call : remote_.script().calls(FakeOp::kRead)) {
      bytes += call.length;
    }
    return bytes;
  }

  static std::string Pattern(std::size_t size, std::uint64_t seed = 1) {
    std::string text(size, '\0');
    std::uint64_t state = seed * 0x9E3779B97F4A7C15ULL + 1;
    for (char& c : text) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      c = static_cast<char>(state >> 56U);
    }
    return text;
  }

  FakeRemoteFs remote_;
  ReadCacheOptions options_;
  FileReader::Known known_;
  TimePoint changed_at_ = TimePoint::min();
  std::filesystem::path folder_;

 private:
  void TellTime() {
    if (cache_ != nullptr) {
      cache_->clock().Reached(now_, Clock::now());
    }
  }

  std::int64_t now_ = FakeRemoteFs::kStartTime;
  std::unique_ptr<ReadCache> cache_;
};

}  // namespace bt
