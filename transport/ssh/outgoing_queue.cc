#include "transport/ssh/outgoing_queue.h"

#include <cassert>
#include <utility>

namespace bt::ssh {

void OutgoingQueue::Push(std::vector<std::byte> message) { messages_.push_back(std::move(message)); }

std::span<const std::byte> OutgoingQueue::Next() {
  if (gathered_offset_ < gathered_.size()) {
    return std::span(gathered_).subspan(gathered_offset_);
  }
  if (!in_place_.empty()) {
    return in_place_;
  }
  gathered_.clear();
  gathered_offset_ = 0;
  while (!messages_.empty()) {
    const auto rest = std::span<const std::byte>(messages_.front()).subspan(front_offset_);
    const bool first_bytes = front_offset_ == 0;
    if (gathered_.empty() && rest.size() >= kLarge) {
      started_ += first_bytes ? 1 : 0;
      in_place_ = rest;
      return in_place_;
    }
    if (gathered_.size() + rest.size() > kPiece) {
      break;
    }
    started_ += first_bytes ? 1 : 0;
    gathered_.insert(gathered_.end(), rest.begin(), rest.end());
    messages_.pop_front();
    front_offset_ = 0;
  }
  return gathered_;
}

void OutgoingQueue::Advance(std::size_t written) {
  if (gathered_offset_ < gathered_.size()) {
    gathered_offset_ += written;
    assert(gathered_offset_ <= gathered_.size());
    return;
  }
  assert(written <= in_place_.size());
  front_offset_ += written;
  in_place_ = {};
  if (front_offset_ == messages_.front().size()) {
    messages_.pop_front();
    front_offset_ = 0;
  }
}

void OutgoingQueue::Clear() {
  messages_.clear();
  gathered_.clear();
  in_place_ = {};
  front_offset_ = 0;
  gathered_offset_ = 0;
}

}  // namespace bt::ssh
