#include "transport/base/op_context.h"

#include <algorithm>

namespace bt {

OpContext OpContext::WithTimeout(Duration timeout, std::stop_token cancel) {
  const TimePoint now = Clock::now();
  const bool forever = timeout > TimePoint::max() - now;
  return OpContext{forever ? TimePoint::max() : now + timeout, std::move(cancel)};
}

Status OpContext::Check(Fate fate) const {
  if (cancel.stop_requested()) {
    return Error{Code::kInterrupted, "interrupted", "op.interrupted", fate};
  }
  if (deadline != TimePoint::max() && Clock::now() >= deadline) {
    return Error{Code::kTimedOut, "no answer within the timeout", "op.timeout", fate};
  }
  return {};
}

std::chrono::milliseconds OpContext::Remaining(std::chrono::milliseconds cap) const {
  if (deadline == TimePoint::max()) {
    return cap;
  }
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
  return std::clamp(left, std::chrono::milliseconds(0), cap);
}

}  // namespace bt
