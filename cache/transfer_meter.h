// How much is worth having on its way: twice the bandwidth-delay product, as measured from the fetches themselves.
//
// Threading: any thread.
#pragma once

#include <array>
#include <cstdint>

#include "transport/base/op_context.h"
#include "transport/base/sync.h"

namespace bt {

class TransferMeter {
 public:
  static constexpr std::uint64_t kFloor = 4U << 20U;  // bytes: enough to see whether more helps

  // A fetch brought `bytes` between the two times.
  void Fetched(std::uint64_t bytes, TimePoint began, TimePoint ended);

  // At least kFloor, at most `limit` (where that is smaller).
  std::uint64_t Window(std::uint64_t limit) const;

 private:
  // The rate is that of the best of the last few intervals, so that a reader who pauses does not shrink the window.
  static constexpr std::chrono::milliseconds kInterval{200};
  static constexpr std::size_t kIntervals = 16;

  mutable Mutex mutex_;
  // Of the quickest fetch lately; forgotten with the intervals, since the way to the server may change.
  std::array<Duration, kIntervals> quickest_ GUARDED_BY(mutex_){};
  std::array<std::uint64_t, kIntervals> bytes_ GUARDED_BY(mutex_){};
  std::size_t present_ GUARDED_BY(mutex_) = 0;
  TimePoint since_ GUARDED_BY(mutex_);
};

}  // namespace bt
