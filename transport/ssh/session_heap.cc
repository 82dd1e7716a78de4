#include "transport/ssh/session_heap.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace bt::ssh {

// NOLINTBEGIN(cppcoreguidelines-no-malloc): this is what a C library calls for memory

SessionHeap::~SessionHeap() {
  for (const auto& [block, size] : live_) {
    std::free(block);
  }
}

bool SessionHeap::Fits(std::size_t size) {
  if (size > limit_ || used_ + size + kOverhead > limit_) {
    exhausted_ = true;
    return false;
  }
  return true;
}

void* SessionHeap::Allocate(std::size_t size) {
  if (!Fits(size)) {
    return nullptr;
  }
  void* block = std::malloc(std::max<std::size_t>(size, 1));
  if (block != nullptr) {
    live_.emplace(block, size);
    used_ += size + kOverhead;
  }
  return block;
}

void* SessionHeap::Reallocate(void* block, std::size_t size) {
  if (block == nullptr) {
    return Allocate(size);
  }
  const auto known = live_.find(block);
  if (known == live_.end()) {
    return nullptr;
  }
  const std::size_t old_size = known->second;  // the next line may move the table
  void* bigger = Allocate(size);
  if (bigger != nullptr) {
    std::memcpy(bigger, block, std::min(old_size, size));
    Free(block);
  }
  return bigger;
}

void SessionHeap::Free(void* block) {
  const auto known = live_.find(block);
  if (known == live_.end()) {
    return;
  }
  used_ -= known->second + kOverhead;
  live_.erase(known);
  std::free(block);
}

// NOLINTEND(cppcoreguidelines-no-malloc)

}  // namespace bt::ssh
