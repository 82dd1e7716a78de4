#include "transport/backoff.h"

#include <algorithm>

namespace bt {

std::chrono::milliseconds Backoff::Next() {
  ceiling_ = ceiling_.count() == 0 ? options_.first : std::min(ceiling_ * 2, options_.cap);
  const auto share = static_cast<std::chrono::milliseconds::rep>(random_() * static_cast<double>(ceiling_.count()));
  // Never zero: a delay of nothing would dial a refusing server in a tight loop.
  return std::chrono::milliseconds(share + 1);
}

}  // namespace bt
