// A stream that gives a test what networks and attackers do: it hands out what comes in small pieces, or changes a byte
// of it.
//
// Threading: as ByteStream says; FlipByte() from any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "transport/base/byte_stream.h"

namespace bt::test {

class TwistedStream final : public ByteStream {
 public:
  // `pieces`: the most that a Read() gives, in turn and again; empty: as much as there is.
  TwistedStream(std::unique_ptr<ByteStream> below, std::vector<std::size_t> pieces)
      : below_(std::move(below)), pieces_(std::move(pieces)) {}

  // The byte that comes after `count` others from now on will not be what was sent.
  void FlipByte(std::uint64_t count) { flip_.store(received_.load() + count); }

  Result<std::size_t> Read(std::span<std::byte> out) override {
    if (!pieces_.empty()) {
      out = out.first(std::min(out.size(), pieces_[turn_++ % pieces_.size()]));
    }
    const Result<std::size_t> got = below_->Read(out);
    if (got.ok()) {
      const std::uint64_t first = received_.fetch_add(*got);
      const std::uint64_t flip = flip_.load();
      if (flip >= first && flip - first < *got) {
        out[static_cast<std::size_t>(flip - first)] ^= std::byte{0x40};
      }
    }
    return got;
  }
  Result<std::size_t> Write(std::span<const std::byte> bytes) override { return below_->Write(bytes); }
  bool HasPending() const override { return below_->HasPending(); }
  int fd() const override { return below_->fd(); }
  short poll_events(bool want_write) const override { return below_->poll_events(want_write); }
  void Abort() override { below_->Abort(); }

 private:
  const std::unique_ptr<ByteStream> below_;
  const std::vector<std::size_t> pieces_;
  std::size_t turn_ = 0;
  std::atomic<std::uint64_t> received_{0};
  std::atomic<std::uint64_t> flip_{UINT64_MAX};
};

}  // namespace bt::test
