#include "cache/block_cache.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <system_error>
#include <vector>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "cache/block_file_slots.h"
#include "cache/eviction.h"
#include "transport/base/thread_name.h"
#include "transport/base/units.h"

namespace bt {
namespace {

constexpr std::uint64_t kLargestDefault = 50_GiB;
constexpr std::uint64_t kReserveAtLeast = 1_GiB;
constexpr auto kScanAtLeastEvery = std::chrono::minutes(10);
// However loudly it is asked for, looking through the directory takes at most a fifth of the time.
constexpr auto kShortestRest = std::chrono::milliseconds(200);
constexpr int kRestsPerScan = 4;

Error Unusable(const std::filesystem::path& directory, std::string_view why) {
  return Error{Code::kConfig, fmt::format("the cache directory {} cannot be used: {}", directory.string(), why),
               "cache.directory"};
}

// Others must neither read a user's files nor put files of theirs in place of ours.
Status PrepareDirectory(const std::filesystem::path& directory) {
  std::error_code problem;
  if (!directory.is_absolute()) {
    return Unusable(directory, "it is not an absolute path");
  }
  if (directory.has_parent_path()) {
    std::filesystem::create_directories(directory.parent_path(), problem);
  }
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return Unusable(directory, SystemText(errno));
  }
  struct stat status {};
  if (::stat(directory.c_str(), &status) != 0) {
    return Unusable(directory, SystemText(errno));
  }
  if (!S_ISDIR(status.st_mode)) {
    return Unusable(directory, "it is not a directory");
  }
  if (status.st_uid != ::geteuid()) {
    return Unusable(directory, "it belongs to another user; name a directory of your own");
  }
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return Unusable(directory, "other users may write to it; name another one, or take that right away (chmod go-w)");
  }
  if (::access(directory.c_str(), R_OK | X_OK) != 0) {
    return Unusable(directory, SystemText(errno));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<BlockCache>> BlockCache::Open(const BlockCacheOptions& options) {
  TRY(PrepareDirectory(options.directory));
  struct statvfs space {};
  if (::statvfs(options.directory.c_str(), &space) != 0) {
    return Unusable(options.directory, SystemText(errno));
  }
  const std::uint64_t disk = std::uint64_t{space.f_blocks} * space.f_frsize;
  BlockCacheLedger::Limits limits;
  limits.directory = options.directory;
  limits.limit = options.limit != 0 ? options.limit : std::min(disk / 10, kLargestDefault);
  limits.reserve = options.reserve.value_or(std::min(disk / 10, std::max(kReserveAtLeast, disk / 50)));
  limits.pause = options.retry_after;
  return std::unique_ptr<BlockCache>(
      new BlockCache(std::make_shared<BlockCacheLedger>(std::move(limits)), options.open_files));
}

BlockCache::BlockCache(std::shared_ptr<BlockCacheLedger> ledger, std::size_t open_files)
    : ledger_(std::move(ledger)),
      slots_(std::make_shared<BlockFileSlots>(open_files)),
      evictor_([this](const std::stop_token& stop) {
        SetThreadName("cache-evict");
        Evict(stop);
      }) {}

BlockCache::~BlockCache() = default;

std::shared_ptr<BlockFile> BlockCache::File(const BlockKey& key) {
  const std::filesystem::path name = BlockFileName(key);
  MutexLock lock(mutex_);
  std::weak_ptr<BlockFile>& known = files_[name.native()];
  auto file = known.lock();
  // A hash collision of two keys: both may be used, one of them loses its blocks.
  if (!file || file->key() != key) {
    file = std::make_shared<BlockFile>(key, ledger_->limits().directory / name, ledger_, slots_);
    known = file;
  }
  if (files_.size() >= sweep_at_) {
    std::erase_if(files_, [](const auto& entry) { return entry.second.expired(); });
    sweep_at_ = std::max<std::size_t>(1024, files_.size() * 2);
  }
  return file;
}

std::shared_ptr<BlockFile> BlockCache::Grown(const BlockKey& old, const BlockKey& key) {
  auto file = File(key);
  if (old.workspace != key.workspace || old.path != key.path || old.epoch != key.epoch ||
      old.version.size > key.version.size || old == key) {
    return file;
  }
  const auto before = File(old);
  if (file->Opened()) {
    return file;  // another mount was faster
  }
  const auto blocks = before->Opened();
  if (!blocks || !blocks->writable()) {
    return file;
  }
  // New header first: whoever opens it by the old name from now on finds a file that is not his, and whoever opens it
  // by the new name finds the new header.
  if (auto changed = blocks->BecomeVersion(key); !changed) {
    ledger_->Failed(changed.error());
  } else {
    RenameToFreeName(before->file_, file->file_);
  }
  before->Close();
  return file;
}

std::unique_ptr<PathEpochs> BlockCache::Epochs(std::string_view workspace) const {
  return std::make_unique<PathEpochs>(ledger_->limits().directory / WorkspaceFolder(workspace) / kEpochTable,
                                      [ledger = ledger_](const Error& error) { ledger->Failed(error); });
}

BlockCacheUsage BlockCache::usage() const {
  return {.bytes = ledger_->usage(),
          .limit = ledger_->limits().limit,
          .bad_granules = ledger_->bad_granules(),
          .trouble = ledger_->trouble()};
}

void BlockCache::Evict(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const TimePoint begin = Clock::now();
    const std::uint64_t before = ledger_->stored_total();
    std::vector<CachedFile> files = ScanBlockFiles(ledger_->limits().directory, stop);
    std::uint64_t total = 0;
    for (const CachedFile& file : files) {
      total += file.disk_bytes;
    }
    if (stop.stop_requested()) {
      return;
    }
    ledger_->Scanned(total, before);
    if (const std::uint64_t excess = ledger_->Excess(); excess > 0) {
      const EvictionLock lock(ledger_->limits().directory);
      if (lock.held()) {
        ledger_->Freed(EvictBlocks(std::move(files), excess, stop));
      }
    }
    Rest(stop, std::max<Duration>(kShortestRest, (Clock::now() - begin) * kRestsPerScan));
    ledger_->WaitForWork({.deadline = Clock::now() + kScanAtLeastEvery, .cancel = stop});
  }
}

}  // namespace bt
