#include "cache/block_cache_inventory.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <tuple>

#include "cache/eviction.h"
#include "cache/open_blocks.h"
#include "cache/path_epochs.h"

namespace bt {
namespace {

constexpr std::int64_t kNanoseconds = 1'000'000'000;

// Calls `visit(extent, map)` for each extent that holds anything.
template <typename Visit>
void ForEachExtent(const OpenBlocks& blocks, const Visit& visit) {
  const std::uint64_t extents = ExtentsOf(blocks.size());
  off_t at = 0;
  while (true) {
    at = ::lseek(blocks.fd(), at, SEEK_DATA);
    const std::uint64_t extent = static_cast<std::uint64_t>(at) / kExtentStride;
    if (at < 0 || extent >= extents) {
      return;
    }
    visit(extent, blocks.ReadMap(extent));
    at = static_cast<off_t>((extent + 1) * kExtentStride);
  }
}

std::uint64_t CachedBytes(const OpenBlocks& blocks) {
  std::uint64_t bytes = 0;
  ForEachExtent(blocks, [&](std::uint64_t extent, const ExtentMap& map) {
    for (std::uint64_t i = 0; i < kExtentGranules; ++i) {
      const std::uint64_t granule = extent * kExtentGranules + i;
      if (map.checksums.at(i) != 0 && granule < GranulesOf(blocks.size())) {
        bytes += GranuleBytes(granule, blocks.size());
      }
    }
  });
  return bytes;
}

void VerifyFile(const OpenBlocks& blocks, BlockCacheVerdict& verdict) {
  std::vector<std::byte> buffer(kGranule);
  ForEachExtent(blocks, [&](std::uint64_t extent, const ExtentMap& map) {
    for (std::uint64_t i = 0; i < kExtentGranules; ++i) {
      const std::uint64_t granule = extent * kExtentGranules + i;
      if (map.checksums.at(i) == 0 || granule >= GranulesOf(blocks.size())) {
        continue;
      }
      const auto place = std::span(buffer).first(GranuleBytes(granule, blocks.size()));
      const auto outcome = blocks.ReadVerified(map, granule, 1, granule * kGranule, place);
      verdict.bytes += outcome.good;
      // Evicted between the look at the map and the look at the bytes: then the map says so now.
      if (outcome.good < place.size() && (outcome.bad || outcome.problem != 0)) {
        verdict.bad.push_back({.key = blocks.key(), .offset = granule * kGranule});
      }
    }
  });
}

// Mounts that have one notice, and make another: no epoch is as before.
void RemoveEpochTables(const std::filesystem::path& directory) {
  std::error_code problem;
  for (std::filesystem::directory_iterator it(directory, problem), end; !problem && it != end; it.increment(problem)) {
    if (::unlink((it->path() / kEpochTable).c_str()) == 0) {
      ::rmdir(it->path().c_str());
    }
  }
}

}  // namespace

bool BlockCacheSelection::Matches(const BlockKey& key) const {
  return (!workspace || *workspace == key.workspace) && (!below || below->Contains(key.path));
}

BlockCacheListing ListBlockCache(const std::filesystem::path& directory, const BlockCacheSelection& selection) {
  BlockCacheListing listing;
  for (const CachedFile& file : ScanBlockFiles(directory, {})) {
    const auto blocks = OpenBlocks::OpenAny(file.file);
    if (!blocks) {
      listing.unreadable += blocks.error().code == Code::kInvalid ? 1 : 0;
    } else if (selection.Matches((*blocks)->key())) {
      listing.versions.push_back({.key = (*blocks)->key(),
                                  .cached_bytes = CachedBytes(**blocks),
                                  .disk_bytes = file.disk_bytes,
                                  .last_use = file.last_use / kNanoseconds});
    }
  }
  std::sort(listing.versions.begin(), listing.versions.end(), [](const CachedVersion& a, const CachedVersion& b) {
    return std::tie(a.key.workspace, a.key.path, a.last_use) < std::tie(b.key.workspace, b.key.path, b.last_use);
  });
  return listing;
}

BlockCacheVerdict VerifyBlockCache(const std::filesystem::path& directory, const BlockCacheSelection& selection) {
  BlockCacheVerdict verdict;
  for (const CachedFile& file : ScanBlockFiles(directory, {})) {
    const auto blocks = OpenBlocks::OpenAny(file.file);
    if (!blocks) {
      if (blocks.error().code == Code::kInvalid) {
        ++verdict.unreadable;
        RemoveBlockFile(file.file);
      }
    } else if (selection.Matches((*blocks)->key())) {
      ++verdict.versions;
      VerifyFile(**blocks, verdict);
    }
  }
  return verdict;
}

BlockCacheCleared ClearBlockCache(const std::filesystem::path& directory, const BlockCacheSelection& selection) {
  BlockCacheCleared cleared;
  for (const CachedFile& file : ScanBlockFiles(directory, {})) {
    if (!selection.IsAll()) {
      const auto blocks = OpenBlocks::OpenAny(file.file);
      if (!blocks || !selection.Matches((*blocks)->key())) {
        continue;
      }
    }
    const int problem = RemoveBlockFile(file.file);
    if (problem == 0) {
      ++cleared.files;
      cleared.disk_bytes += file.disk_bytes;
      // Succeeds once the folder is empty, which is all right.
      ::rmdir(file.file.parent_path().c_str());
    } else if (problem != ENOENT) {
      ++cleared.failed;
    }
  }
  if (selection.IsAll()) {
    RemoveEpochTables(directory);
  }
  return cleared;
}

}  // namespace bt
