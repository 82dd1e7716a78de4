// Looking through the whole cache: what `bt-mount cache` shows, checks and removes.
//
// Threading: any thread; safe while mounts read, fill and evict the same directory. Blocks on the disk, for long when
// much is cached.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cache/block_key.h"

namespace bt {

// Which files are meant; all when empty.
struct BlockCacheSelection {
  std::optional<std::string> workspace;
  std::optional<RemotePath> below;  // the path itself and everything below it

  bool IsAll() const { return !workspace && !below; }
  bool Matches(const BlockKey& key) const;
};

struct CachedVersion {
  BlockKey key;
  std::uint64_t cached_bytes = 0;  // of the file's bytes
  std::uint64_t disk_bytes = 0;
  std::int64_t last_use = 0;  // seconds since 1970
};

struct BlockCacheListing {
  std::vector<CachedVersion> versions;  // by workspace, path, last use
  std::uint64_t unreadable = 0;         // files without a valid header: nobody uses them
};
BlockCacheListing ListBlockCache(const std::filesystem::path& directory, const BlockCacheSelection& selection);

struct BadGranule {
  BlockKey key;
  std::uint64_t offset = 0;
};

struct BlockCacheVerdict {
  std::uint64_t versions = 0;
  std::uint64_t bytes = 0;  // that verified
  std::vector<BadGranule> bad;
  std::uint64_t unreadable = 0;  // files without a valid header
};
// Reads everything and forgets what does not verify, so that it is fetched again.
BlockCacheVerdict VerifyBlockCache(const std::filesystem::path& directory, const BlockCacheSelection& selection);

struct BlockCacheCleared {
  std::uint64_t files = 0;
  std::uint64_t disk_bytes = 0;
  std::uint64_t failed = 0;  // that are still there
};
// A mount that uses them fetches again what it needs. Selecting all removes files without a valid header too.
BlockCacheCleared ClearBlockCache(const std::filesystem::path& directory, const BlockCacheSelection& selection);

}  // namespace bt
