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
#include <string>
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

  // Counts changes of ours. Taken before a read is sent, it tells OnRead() whether the bytes may be outdated already.
  std::uint64_t changes() const;
  void OnRead(std::uint64_t offset, std::span<const std::byte> bytes, std::uint64_t changes_before);
  // Before a change is sent and once more when it has ended, however it did: in between, a lost connection leaves open
  // whether it was done. Also for changes made through another handle of the same file.
  void OnWrite(std::uint64_t offset, std::uint64_t length);
  void OnResize(std::uint64_t size);
  void OnReaches(std::uint64_t end);  // acknowledged, through whatever handle: the file has bytes up to there
  void OnOverlap();  // this mount changed the file while it was being opened: size and time prove little
  void OnAppend();   // before it is sent
  // Acknowledged: behind `end` at the earliest; where exactly is not known, since others may append as well.
  void OnAppended(std::uint64_t end, std::uint64_t length);
  void OnTouch();                      // times are set
  void OnResized(std::uint64_t size);  // acknowledged
  void OnWriteAcknowledged(std::uint64_t offset, std::span<const std::byte> bytes);

  struct Verdict {
    enum class Kind {
      kSame,
      kDifferent,
      kCompare,  // the same if every fingerprint still matches the server's bytes
    };
    Kind kind = Kind::kDifferent;
    std::vector<Fingerprint> fingerprints;
    std::string why{};  // of kDifferent, for people
  };
  Verdict Judge(const Attributes& now) const;

  // Size as far as acknowledged: where an append of ours was about to land.
  std::uint64_t known_size() const;

 private:
  void Forget(std::uint64_t begin, std::uint64_t end) REQUIRES(mutex_);

  mutable Mutex mutex_;
  std::uint64_t changes_ GUARDED_BY(mutex_) = 0;
  bool appended_ GUARDED_BY(mutex_) = false;
  std::uint64_t size_ GUARDED_BY(mutex_);                 // at least
  std::uint64_t possible_size_ GUARDED_BY(mutex_);        // at most, should changes without an answer have been done
  std::optional<std::int64_t> mtime_ GUARDED_BY(mutex_);  // unknown after a change of ours
  std::optional<Fingerprint> first_ GUARDED_BY(mutex_);
  std::optional<Fingerprint> latest_ GUARDED_BY(mutex_);
};

}  // namespace bt
