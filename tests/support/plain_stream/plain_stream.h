// A ByteStream over plain TCP: what the tests use where the program uses TLS.
//
// Threading: as ByteStream says.
#pragma once

#include <cstdint>
#include <memory>

#include "transport/base/byte_stream.h"
#include "transport/base/unique_fd.h"

namespace bt::test {

class PlainStream : public ByteStream {
 public:
  // A connected stream socket; made non-blocking.
  explicit PlainStream(UniqueFd socket);

  struct Options {
    int send_buffer = 0;  // bytes of the kernel's socket buffers; 0: the system's default
    int receive_buffer = 0;
  };
  // Connects to 127.0.0.1; blocks.
  static Result<std::unique_ptr<PlainStream>> Connect(std::uint16_t port, const Options& options);

  Result<std::size_t> Read(std::span<std::byte> out) override;
  Result<std::size_t> Write(std::span<const std::byte> bytes) override;
  bool HasPending() const override { return false; }
  int fd() const override { return socket_.get(); }
  short poll_events(bool want_write) const override;
  void Abort() override;

 private:
  const UniqueFd socket_;
};

}  // namespace bt::test
