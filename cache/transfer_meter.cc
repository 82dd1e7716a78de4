#include "cache/transfer_meter.h"

#include <algorithm>

namespace bt {

void TransferMeter::Fetched(std::uint64_t bytes, TimePoint began, TimePoint ended) {
  const Duration took = std::max<Duration>(ended - began, std::chrono::microseconds(1));
  MutexLock lock(mutex_);
  if (ended - since_ >= kInterval) {
    since_ = ended;
    present_ = (present_ + 1) % kIntervals;
    bytes_.at(present_) = 0;
    quickest_.at(present_) = {};
  }
  bytes_.at(present_) += bytes;
  Duration& quickest = quickest_.at(present_);
  quickest = quickest == Duration::zero() ? took : std::min(quickest, took);
}

std::uint64_t TransferMeter::Window(std::uint64_t limit) const {
  Duration quickest{};
  std::uint64_t most = 0;
  {
    MutexLock lock(mutex_);
    for (const Duration one : quickest_) {
      if (one != Duration::zero() && (quickest == Duration::zero() || one < quickest)) {
        quickest = one;
      }
    }
    most = *std::ranges::max_element(bytes_);
  }
  const double in_flight = static_cast<double>(most) * (std::chrono::duration<double>(quickest) / kInterval);
  return std::min(std::max(kFloor, static_cast<std::uint64_t>(2 * in_flight)), limit);
}

}  // namespace bt
