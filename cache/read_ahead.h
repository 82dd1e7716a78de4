// Which bytes of a file will be wanted next, told from the reads that were seen. Pure: no I/O, no clock.
//
// A file is read by several streams at once: programs that map it (safetensors, torch, GGUF) fault in several places in
// turn, and several threads share one descriptor. Each stream runs forward; small steps back and forth within it are
// the kernel's parallel requests. A stream asks for twice of what it has consumed so far, up to the largest window, so
// that what is fetched in vain is bounded by what was of use. A single read somewhere asks for nothing.
//
// Threading: none; the owner guards it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace bt {

class ReadAhead {
 public:
  static constexpr std::size_t kStreams = 16;
  static constexpr std::uint64_t kSmallestWindow = 256U << 10U;  // bytes; two of the kernel's requests
  static constexpr std::uint64_t kNear = 4U << 20U;  // what a disk needs to be asked for at a time to run at full speed
  static constexpr std::uint64_t kReorder = 1U << 20U;  // how far the kernel's parallel requests may be out of order

  // Bytes [begin, end) of the file; empty when begin == end.
  struct Range {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    bool empty() const { return begin >= end; }
    bool operator==(const Range&) const = default;
  };

  struct Wish {
    Range range;
    Range near;                // the beginning of it, for bytes that are near: on the disk, not in memory
    std::uint64_t window = 0;  // of the stream: how far it looks ahead
    std::size_t stream = 0;
  };

  // A read of `length` bytes came, and Served() will tell when it is done. Returns what should be in memory, or on its
  // way, behind it, and was not planned yet.
  Wish OnRead(std::uint64_t offset, std::uint64_t length, std::uint64_t largest_window);
  void Served(std::size_t stream);
  // The wishes of this stream are cared for up to here.
  void Planned(std::size_t stream, std::uint64_t until) { streams_.at(stream).planned = until; }

  // The same for what is near.
  void PlannedNear(std::size_t stream, std::uint64_t until) { streams_.at(stream).planned_near = until; }

  // How many streams are running: they were read most recently, or a read of theirs waits while others are served.
  std::size_t running() const;

 private:
  struct Stream {
    std::uint64_t start = 0;
    std::uint64_t next = 0;  // one past the highest byte that was read
    std::uint64_t planned = 0;
    std::uint64_t planned_near = 0;
    std::uint64_t last_use = 0;
    std::size_t being_served = 0;  // reads
    bool sequential = false;
  };

  Stream* Find(std::uint64_t offset, std::uint64_t length);

  std::array<Stream, kStreams> streams_{};
  std::size_t used_ = 0;
  std::uint64_t reads_ = 0;
};

}  // namespace bt
