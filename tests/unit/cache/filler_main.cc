// A process that reads and fills a cache as a mount does, holding every byte against the truth.
//
//   cache_filler DIRECTORY LIMIT FILES FILE_BYTES SEED BYTES
//
// Reads BYTES bytes in all (0: until it is killed) in pieces at random places of FILES files, and stores what was
// missing. Prints "<bytes from the cache> <bytes in all>". Exits 1 at the first wrong byte.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>

#include <fmt/format.h>

#include "cache/block_cache.h"
#include "tests/unit/cache/true_bytes.h"

int main(int argc, char** argv) {
  if (argc != 7) {
    return 2;
  }
  const auto number = [argv](int i) { return std::strtoull(argv[i], nullptr, 10); };
  const std::uint64_t files = number(3);
  const std::uint64_t size = number(4);
  const std::uint64_t wanted = number(6);
  auto cache = bt::BlockCache::Open({.directory = argv[1], .limit = number(2), .reserve = 0});
  if (!cache) {
    fmt::print(stderr, "{}\n", cache.error().text);
    return 2;
  }
  std::mt19937_64 random(number(5));
  std::uint64_t all = 0;
  std::uint64_t hits = 0;
  std::vector<std::byte> out;
  while (wanted == 0 || all < wanted) {
    const std::uint64_t index = random() % files;
    auto file = (*cache)->File(bt::KeyOf("/f" + std::to_string(index), size + index));
    // Half of all reads go to a tenth of the file, so that something is hot.
    const std::uint64_t offset = random() % (random() % 2 == 0 ? size / 10 : size);
    const std::uint64_t end = std::min(size + index, offset + 1 + random() % 400'000);
    for (std::uint64_t at = offset; at < end;) {
      out.assign(end - at, std::byte{0xEE});
      const std::size_t good = file->Read(at, out);
      const auto truth = bt::TrueBytes(index, at, good);
      if (!std::equal(truth.begin(), truth.end(), out.begin())) {
        fmt::print(stderr, "wrong bytes of file {} at {}\n", index, at);
        return 1;
      }
      hits += good;
      at += good;
      if (at < end) {
        const std::uint64_t begin = at / bt::kGranule * bt::kGranule;
        const std::uint64_t stop = std::min(size + index, (end + bt::kGranule - 1) / bt::kGranule * bt::kGranule);
        auto pending = file->Stage(begin, bt::TrueBytes(index, begin, stop - begin));
        // Now and then the bytes turn out to be of another version.
        if (random() % 8 != 0) {
          file->Commit(std::move(pending));
        }
        at = end;
      }
    }
    all += end - offset;
  }
  fmt::print("{} {}\n", hits, all);
  return 0;
}
