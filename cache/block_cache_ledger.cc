#include "cache/block_cache_ledger.h"

#include <sys/statvfs.h>

#include <algorithm>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "transport/base/units.h"

namespace bt {
namespace {

constexpr auto kWarnAgainAfter = std::chrono::hours(1);

// Other processes fill the same cache; what they stored is seen by a scan. One scan for each sixteenth of the limit
// that this process stores bounds how far several can overshoot together.
constexpr std::uint64_t kScansPerLimit = 16;
// Free space is asked for again after so many bytes: one cheap system call.
constexpr std::uint64_t kBytesBetweenStatvfs = 4_MiB;

}  // namespace

BlockCacheLedger::BlockCacheLedger(Limits limits) : limits_(std::move(limits)) { CheckFreeSpace(); }

void BlockCacheLedger::CheckFreeSpace() {
  free_asked_at_ = stored_total_.load();
  struct statvfs space {};
  // When the disk cannot tell, writing will.
  const bool told = ::statvfs(limits_.directory.c_str(), &space) == 0;
  free_ = told ? std::uint64_t{space.f_bavail} * space.f_frsize : UINT64_MAX;
}

bool BlockCacheLedger::MayStore(std::uint64_t bytes) {
  if (Clock::now().time_since_epoch().count() < paused_until_) {
    return false;
  }
  if (stored_total_ - free_asked_at_ >= kBytesBetweenStatvfs) {
    CheckFreeSpace();
  }
  const std::uint64_t since = stored_total_ - free_asked_at_;
  const bool fits = usage_ + bytes <= limits_.limit && stored_total_ - scanned_at_ + bytes <= allowance_;
  const bool leaves_reserve = free_ >= limits_.reserve + since + bytes;
  if (!fits) {
    refused_ = bytes;
  }
  if (!fits || !leaves_reserve) {
    AskForEviction();
  }
  return fits && leaves_reserve;
}

void BlockCacheLedger::Stored(std::uint64_t bytes) {
  usage_ += bytes;
  stored_total_ += bytes;
  if (usage_ > limits_.limit / 20 * 19 || stored_total_ - scanned_at_ > limits_.limit / kScansPerLimit) {
    AskForEviction();
  }
}

void BlockCacheLedger::Freed(std::uint64_t bytes) {
  std::uint64_t before = usage_;
  while (!usage_.compare_exchange_weak(before, before - std::min(before, bytes))) {
  }
  allowance_ += bytes / 2;
}

void BlockCacheLedger::Failed(const Error& error) {
  paused_until_ = (Clock::now() + limits_.pause).time_since_epoch().count();
  if (error.code == Code::kNoSpace || error.code == Code::kQuota) {
    out_of_space_ = true;
    AskForEviction();
  }
  {
    MutexLock lock(mutex_);
    trouble_ = error.text;
    const TimePoint now = Clock::now();
    if (warned_ == error.code && now - warned_at_ < kWarnAgainAfter) {
      return;
    }
    warned_ = error.code;
    warned_at_ = now;
  }
  spdlog::warn("the block cache stores nothing for a while: {} [{}]; reads go on", error.text, error.tag);
}

std::string BlockCacheLedger::trouble() const {
  if (Clock::now().time_since_epoch().count() >= paused_until_) {
    return {};
  }
  MutexLock lock(mutex_);
  return trouble_;
}

void BlockCacheLedger::Scanned(std::uint64_t bytes, std::uint64_t before) {
  usage_ = bytes + (stored_total_ - before);
  scanned_at_ = before;
  // Another process that looks later takes half of what is left then, and so on: together they stay within the limit.
  allowance_ = (limits_.limit - std::min(limits_.limit, bytes)) / 2;
}

std::uint64_t BlockCacheLedger::Excess() {
  CheckFreeSpace();
  const std::uint64_t usage = usage_;
  std::uint64_t excess = 0;
  // What a small limit leaves may be too little for a single piece.
  const bool too_little_left = refused_.exchange(0) > (limits_.limit - std::min(limits_.limit, usage)) / 2;
  if (const std::uint64_t aim = limits_.limit / 10 * 9; usage > limits_.limit / 20 * 19 || too_little_left) {
    excess = usage - std::min(aim, usage);
  }
  if (free_ < limits_.reserve) {
    excess = std::max(excess, limits_.reserve - free_ + limits_.reserve / 16);
  }
  if (out_of_space_.exchange(false)) {
    excess = std::max(excess, usage / 10);
  }
  return std::min(excess, usage);
}

void BlockCacheLedger::AskForEviction() {
  {
    MutexLock lock(mutex_);
    asked_ = true;
  }
  work_.NotifyOne();
}

void BlockCacheLedger::WaitForWork(const OpContext& ctx) {
  MutexLock lock(mutex_);
  while (!asked_ && ctx.Check()) {
    work_.Wait(mutex_, ctx);
  }
  asked_ = false;
}

}  // namespace bt
