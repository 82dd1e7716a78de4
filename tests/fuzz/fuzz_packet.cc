#include <cstddef>
#include <cstdint>
#include <span>

#include "tests/fuzz/packet_harness.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  bt::fuzz::FeedServerBytes(std::as_bytes(std::span(data, size)));
  return 0;
}
