// The bytes that the whole mount may hold in memory for readers: one number for all files and streams, so that many
// readers share what one may have alone.
//
// Threading: any thread; never blocks.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace bt {

class MemoryBudget {
 public:
  explicit MemoryBudget(std::uint64_t limit) : limit_(limit) {}

  // A part of the budget, given back when it goes.
  class Share {
   public:
    Share() = default;
    Share(Share&& other) noexcept : budget_(std::exchange(other.budget_, nullptr)), bytes_(other.bytes_) {}
    Share& operator=(Share&& other) noexcept {
      std::swap(budget_, other.budget_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Share() {
      if (budget_ != nullptr) {
        budget_->used_ -= bytes_;
      }
    }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;

    explicit operator bool() const { return budget_ != nullptr; }

   private:
    friend class MemoryBudget;
    Share(MemoryBudget& budget, std::uint64_t bytes) : budget_(&budget), bytes_(bytes) {}

    MemoryBudget* budget_ = nullptr;
    std::uint64_t bytes_ = 0;
  };

  // For what can do without: an empty share when there is no room.
  Share Try(std::uint64_t bytes) {
    if (used_.fetch_add(bytes) + bytes > limit_) {
      used_ -= bytes;
      return {};
    }
    return {*this, bytes};
  }
  // For what somebody waits for: always granted, and counted.
  Share Take(std::uint64_t bytes) {
    used_ += bytes;
    return {*this, bytes};
  }

  std::uint64_t used() const { return used_.load(); }
  std::uint64_t limit() const { return limit_; }

 private:
  const std::uint64_t limit_;
  std::atomic<std::uint64_t> used_{0};
};

}  // namespace bt
