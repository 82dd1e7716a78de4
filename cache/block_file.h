// The cached blocks of one version of one file.
//
// What Read() yields was verified in the caller's own buffer, on every read: no other process, no eviction, no crash
// and no flipped bit can make it wrong. A granule counts once Commit() wrote its checksum; see FORMAT.md.
//
// Threading: any thread. No lock is held while the disk works. May outlive the BlockCache that made it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cache/block_cache_ledger.h"
#include "cache/block_key.h"
#include "cache/open_blocks.h"
#include "transport/base/sync.h"

namespace bt {

class BlockFileSlots;
struct BlockFileSlot;

class BlockFile {
 public:
  // Bytes on disk that do not count yet. Move-only; dropping it forgets them. Keeps the file open while it lives.
  class Pending {
   public:
    Pending() = default;
    Pending(Pending&&) noexcept = default;
    Pending& operator=(Pending&&) noexcept = default;
    Pending(const Pending&) = delete;
    Pending& operator=(const Pending&) = delete;
    ~Pending() = default;

    bool empty() const { return runs_.empty(); }

   private:
    friend class BlockFile;
    struct Run {
      std::uint64_t granule = 0;
      std::vector<std::uint64_t> checksums;
    };
    std::shared_ptr<OpenBlocks> blocks_;
    std::vector<Run> runs_;  // each within one extent
  };

  // `file`: where the blocks lie, or will. Made by BlockCache.
  BlockFile(BlockKey key, std::filesystem::path file, std::shared_ptr<BlockCacheLedger> ledger,
            std::shared_ptr<BlockFileSlots> slots);
  ~BlockFile();
  BlockFile(const BlockFile&) = delete;
  BlockFile& operator=(const BlockFile&) = delete;

  const BlockKey& key() const { return key_; }

  // The longest run from `offset` that is present and verifies, at most out.size(); 0: fetch it. What lies in `out`
  // behind that run is undefined. A granule that does not verify is forgotten. Never fails; blocks on the disk only.
  std::size_t Read(std::uint64_t offset, std::span<std::byte> out);

  // The end of the run of granules from `offset` on that claim to be present, at most `limit` and the file's size;
  // `offset` when there is none. One small read of the disk for each 4 MiB; for planning, not a promise.
  std::uint64_t PresentEnd(std::uint64_t offset, std::uint64_t limit) const;
  bool Present(std::uint64_t offset, std::uint64_t length) const {
    return PresentEnd(offset, offset + length) >= std::min(offset + length, key_.version.size);
  }

  // Writes those whole granules within the bytes that are not present yet; the file's last granule is whole when its
  // last byte is there. They count once committed, which the caller does when he knows that the bytes belong to this
  // version. Blocks on the disk: a slow one slows the caller, so serve the reader first. Keeps nothing, or a part, when
  // the cache is full or broken.
  Pending Stage(std::uint64_t offset, std::span<const std::byte> bytes);
  void Commit(Pending pending);

 private:
  friend class BlockCache;

  // For reading: null when there is nothing. For writing: null when nothing can be stored.
  std::shared_ptr<OpenBlocks> Opened() const;
  std::shared_ptr<OpenBlocks> OpenedForWriting();
  void Failed(const Error& error) const;
  // Closes the file once those who use it now are done; the next use opens it again.
  void Close();

  const BlockKey key_;
  const std::filesystem::path file_;
  const std::shared_ptr<BlockCacheLedger> ledger_;
  const std::shared_ptr<BlockFileSlots> slots_;
  const std::shared_ptr<BlockFileSlot> slot_;
};

}  // namespace bt
