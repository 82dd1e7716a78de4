// An open block file: the I/O of one inode. It may be unlinked, cut short or punched by others at any moment; then its
// granules are absent or do not verify, and nothing worse.
//
// Threading: any thread; the object does not change, the file is shared with other threads and processes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>

#include "cache/block_file_format.h"
#include "cache/direct_io.h"
#include "transport/base/result.h"
#include "transport/base/unique_fd.h"

namespace bt {

class OpenBlocks {
 public:
  // kNotFound when there is none. A file that is not `key`'s or has no valid header is removed, and there is none.
  static Result<std::shared_ptr<OpenBlocks>> Open(const std::filesystem::path& file, const BlockKey& key);
  // Whatever its key is; kInvalid without a valid header. For those who look through the whole cache.
  static Result<std::shared_ptr<OpenBlocks>> OpenAny(const std::filesystem::path& file);
  // Opens it or makes it, and its folder (0700) and the folder's parent.
  static Result<std::shared_ptr<OpenBlocks>> OpenOrCreate(const std::filesystem::path& file, const BlockKey& key);

  const BlockKey& key() const { return header_.key; }
  std::uint64_t size() const { return header_.key.version.size; }  // of the remote file
  std::uint64_t salt() const { return header_.salt; }
  bool writable() const { return writable_; }

  // False once nobody can find the file, or its header, any more: what is written to it would be lost.
  bool alive() const;

  // All absent when it cannot be read.
  ExtentMap ReadMap(std::uint64_t extent) const;

  struct ReadOutcome {
    std::size_t good = 0;  // bytes of `out`, from its beginning, that were read and verified
    bool bad = false;      // the next granule does not verify (nor was it evicted meanwhile), and was forgotten
    int problem = 0;       // or reading failed with this errno
  };
  // Reads `run` granules from `first` on, all in one extent, and compares them with `map`; what the range
  // [offset, offset + out.size()) covers goes to `out`. The range begins in `first`.
  ReadOutcome ReadVerified(const ExtentMap& map, std::uint64_t first, std::uint64_t run, std::uint64_t offset,
                           std::span<std::byte> out) const;

  Status WriteBytes(std::uint64_t granule, std::span<const std::byte> bytes) const;
  Status WriteChecksums(std::uint64_t granule, std::span<const std::uint64_t> checksums) const;

  // Remembers that the extent was used, unless the map says that it was a moment ago. Without effect when that fails.
  void NoteUse(std::uint64_t extent, const ExtentMap& map) const;

  // Makes the granule absent. False, and nothing done, when its checksum is no longer `checksum`.
  bool Forget(std::uint64_t granule, std::uint64_t checksum) const;

  // The remote file grew: from now on this is the block file of `key`, without the last granule if that was short.
  // Readers of the old name must not find it any more: the caller renames it.
  Status BecomeVersion(const BlockKey& key) const;

  int fd() const { return fd_.get(); }

 private:
  OpenBlocks(UniqueFd fd, bool writable, BlockHeader header);
  static Result<std::shared_ptr<OpenBlocks>> Create(const std::filesystem::path& file, const BlockKey& key);

  const UniqueFd fd_;
  const bool writable_;
  const BlockHeader header_;
  mutable DirectIo direct_;
};

// "cannot <what> <file>: <reason>"
Error CacheError(int problem, std::string_view what, const std::filesystem::path& file);

// Gives a file another name, which nobody has: EEXIST when somebody does, else 0 or the errno. (Where the filesystem
// cannot tell, it replaces what is there; whoever has that open notices.)
int RenameToFreeName(const std::filesystem::path& from, const std::filesystem::path& to);

// Makes a workspace's folder, and the cache's above it, where they are missing. Whoever makes a file there sees whether
// that worked.
void MakeWorkspaceFolder(const std::filesystem::path& folder);

// For salts and for values that are like no other.
std::uint64_t RandomNumber();

}  // namespace bt
