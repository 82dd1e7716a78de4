// What each read costs besides the bytes themselves: the checksum map, verifying, and guessing what comes next.
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <filesystem>
#include <random>
#include <vector>

#include "cache/block_cache.h"
#include "cache/block_file_format.h"
#include "cache/read_ahead.h"
#include "tests/unit/cache/true_bytes.h"
#include "transport/base/page_bytes.h"
#include "transport/base/units.h"

namespace bt {
namespace {

constexpr std::uint64_t kFileBytes = 64_MiB;

// A cache with one file, all of it there.
class FilledCache {
 public:
  FilledCache() {
    std::string text = (std::filesystem::temp_directory_path() / "bt-bench-XXXXXX").string();
    directory_ = ::mkdtemp(text.data());
    cache_ = BlockCache::Open({.directory = directory_ / "cache", .limit = 1_GiB, .reserve = 0}).value();
    file_ = cache_->File(KeyOf("/model", kFileBytes));
    for (std::uint64_t at = 0; at < kFileBytes; at += 1_MiB) {
      file_->Commit(file_->Stage(at, TrueBytes(1, at, 1_MiB)));
    }
  }
  ~FilledCache() {
    file_.reset();
    cache_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  FilledCache(const FilledCache&) = delete;
  FilledCache& operator=(const FilledCache&) = delete;
  BlockFile& file() { return *file_; }

 private:
  std::filesystem::path directory_;
  std::unique_ptr<BlockCache> cache_;
  std::shared_ptr<BlockFile> file_;
};

void BM_GranuleChecksum(benchmark::State& state) {
  const std::vector<std::byte> bytes = TrueBytes(1, 0, kGranule);
  std::uint64_t granule = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(GranuleChecksum(7, ++granule, bytes));
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(kGranule));
}
BENCHMARK(BM_GranuleChecksum);

// Whether 16 MiB are there: the maps of four extents.
void BM_PresentEnd(benchmark::State& state) {
  FilledCache filled;
  for (auto _ : state) {
    if (filled.file().PresentEnd(0, 16_MiB) != 16_MiB) {
      state.SkipWithError("a filled cache has a hole");
    }
  }
}
BENCHMARK(BM_PresentEnd);

// Read and verified, out of the page cache. Argument: bytes at a time.
void BM_ReadVerified(benchmark::State& state) {
  FilledCache filled;
  const auto length = static_cast<std::uint64_t>(state.range(0));
  const PageBytes memory = MakePageBytes(length);
  std::uint64_t at = 0;
  for (auto _ : state) {
    if (filled.file().Read(at, {memory.get(), length}) != length) {
      state.SkipWithError("a filled cache has a hole");
    }
    at = (at + length) % kFileBytes;
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(length));
}
BENCHMARK(BM_ReadVerified)->Arg(64_KiB)->Arg(1_MiB);

// A file that is read in order, in the kernel's pieces.
void BM_ReadAheadInOrder(benchmark::State& state) {
  ReadAhead ahead;
  std::uint64_t at = 0;
  for (auto _ : state) {
    const ReadAhead::Wish wish = ahead.OnRead(at, 128_KiB, 32_MiB);
    ahead.Planned(wish.stream, wish.range.end);
    at += 128_KiB;
  }
}
BENCHMARK(BM_ReadAheadInOrder);

void BM_ReadAheadAtRandom(benchmark::State& state) {
  ReadAhead ahead;
  std::mt19937_64 random(1);
  for (auto _ : state) {
    benchmark::DoNotOptimize(ahead.OnRead(random() % (1U << 20U) * kGranule, 64_KiB, 32_MiB));
  }
}
BENCHMARK(BM_ReadAheadAtRandom);

}  // namespace
}  // namespace bt
