// Decides whether the cache may store something more: counts what is stored, watches the disk's free space, and goes
// quiet for a while when the disk refuses.
//
// Threading: any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "transport/base/result.h"
#include "transport/base/sync.h"

namespace bt {

class BlockCacheLedger {
 public:
  struct Limits {
    std::filesystem::path directory;
    std::uint64_t limit = 0;    // bytes on disk
    std::uint64_t reserve = 0;  // bytes of the disk that stay free
    Duration pause{};           // after a failure nothing is stored for so long
  };

  explicit BlockCacheLedger(Limits limits);

  const Limits& limits() const { return limits_; }

  // May `bytes` be stored now? Never blocks on anything but a statvfs(2) now and then. Asks for eviction when not.
  bool MayStore(std::uint64_t bytes);
  void Stored(std::uint64_t bytes);
  void Freed(std::uint64_t bytes);

  // Writing failed. The first time, and then once an hour for each reason, it is logged as a warning.
  void Failed(const Error& error);
  // Why nothing is stored at the moment; empty when all is well.
  std::string trouble() const;

  void CountBad(std::uint64_t granules) { bad_granules_ += granules; }
  std::uint64_t bad_granules() const { return bad_granules_; }
  std::uint64_t usage() const { return usage_; }

  // For the evictor. A scan found `bytes`; `before` is stored_total() from before the scan.
  std::uint64_t stored_total() const { return stored_total_; }
  void Scanned(std::uint64_t bytes, std::uint64_t before);
  // How many bytes ought to go; 0: none.
  std::uint64_t Excess();
  // Sleeps until there may be something to do, or the context ends.
  void WaitForWork(const OpContext& ctx);

 private:
  void AskForEviction();
  void CheckFreeSpace();

  const Limits limits_;

  std::atomic<std::uint64_t> usage_{0};
  std::atomic<std::uint64_t> stored_total_{0};        // only grows
  std::atomic<std::uint64_t> scanned_at_{0};          // stored_total_ at the last scan
  std::atomic<std::uint64_t> allowance_{UINT64_MAX};  // what may be stored until the next scan
  std::atomic<std::uint64_t> free_{0};                // of the disk, when last asked
  std::atomic<std::uint64_t> free_asked_at_{0};       // stored_total_ then
  std::atomic<std::uint64_t> bad_granules_{0};
  std::atomic<bool> out_of_space_{false};  // the disk said so since the last Excess()
  std::atomic<std::uint64_t> refused_{0};  // bytes, the last time that there was no room
  std::atomic<Clock::rep> paused_until_{0};

  mutable Mutex mutex_;
  CondVar work_;
  bool asked_ GUARDED_BY(mutex_) = false;
  std::string trouble_ GUARDED_BY(mutex_);
  std::optional<Code> warned_ GUARDED_BY(mutex_);
  TimePoint warned_at_ GUARDED_BY(mutex_);
};

}  // namespace bt
