// Whether the file behind a path is still the file that a handle was opened on, when the handle must be opened again on
// a new connection. SFTP v3 has no inode number, so the proof is what we know of the file: its size and mtime, what we
// wrote ourselves, and the hash of bytes that we read or wrote through the handle.
//
// Threading: any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "transport/attributes.h"
#include "transport/base/sync.h"

namespace bt {

// Bytes that were seen at a place, remembered by their hash.
struct Fingerprint {
  static constexpr std::size_t kMaxBytes = 4096;

  std::uint64_t offset = 0;
  std::size_t length = 0;  // at most kMaxBytes
  std::uint64_t hash = 0;  // XXH3

  // Of the last kMaxBytes of what is given.
  static Fingerprint Of(std::uint64_t offset, std::span<const std::byte> bytes);
  bool Matches(std::span<const std::byte> bytes) const;
  std::uint64_t end() const { return offset + length; }
};

class FileIdentity {
 public:
  explicit FileIdentity(const Attributes& opened);

  // What the server acknowledged or told.
  void OnRead(std::uint64_t offset, std::span<const std::byte> bytes);
  void OnWriteSent(std::uint64_t offset, std::uint64_t length);
  void OnWriteAcknowledged(std::uint64_t offset, std::span<const std::byte> bytes);
  void OnTruncated(std::uint64_t size);
  void OnChanged();  // times or another attribute were set by us: mtime proves nothing until OnSeen
  void OnSeen(const Attributes& attributes);

  struct Verdict {
    enum class Kind {
      kSame,
      kDifferent,
      kCompare,  // the same if every fingerprint still matches the server's bytes
    };
    Kind kind = Kind::kDifferent;
    std::vector<Fingerprint> fingerprints;
  };
  Verdict Judge(const Attributes& now) const;

  // Size as far as acknowledged: where an append of ours was about to land.
  std::uint64_t known_size() const;

 private:
  mutable Mutex mutex_;
  std::uint64_t size_ GUARDED_BY(mutex_);                 // known to have been reached
  std::uint64_t possible_size_ GUARDED_BY(mutex_);        // when writes without an answer were done after all
  std::optional<std::int64_t> mtime_ GUARDED_BY(mutex_);  // unknown after a write of ours
  std::optional<Fingerprint> first_ GUARDED_BY(mutex_);
  std::optional<Fingerprint> latest_ GUARDED_BY(mutex_);
};

}  // namespace bt
