// The memory of one libssh2 session: bounded, and given back whole.
//
// libssh2 keeps what it cannot place (messages nobody asked for, in any number), and some of its error paths lose a
// block, free it twice, or start over for ever: a packet whose ChaCha20-Poly1305 tag is wrong is read again and again,
// with a new block each time. With a bound and a list of live blocks the worst that a hostile server gets is a failed
// allocation, which ends its lane.
//
// Threading: one thread.
#pragma once

#include <cstddef>
#include <unordered_map>

namespace bt::ssh {

class SessionHeap {
 public:
  explicit SessionHeap(std::size_t limit) : limit_(limit) {}
  ~SessionHeap();
  SessionHeap(const SessionHeap&) = delete;
  SessionHeap& operator=(const SessionHeap&) = delete;

  void RaiseLimit(std::size_t bytes) { limit_ += bytes; }
  void LowerLimit(std::size_t bytes) { limit_ -= bytes; }

  // As malloc, realloc and free; null above the limit. Free() of what is not live does nothing.
  void* Allocate(std::size_t size);
  void* Reallocate(void* block, std::size_t size);
  void Free(void* block);

  // An allocation was refused.
  bool exhausted() const { return exhausted_; }

 private:
  // What a block costs besides its bytes, roughly: malloc's header and ours.
  static constexpr std::size_t kOverhead = 64;

  bool Fits(std::size_t size);

  std::size_t limit_;
  std::size_t used_ = 0;
  bool exhausted_ = false;
  std::unordered_map<void*, std::size_t> live_;
};

}  // namespace bt::ssh
