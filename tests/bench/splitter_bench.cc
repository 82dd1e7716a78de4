// Cutting a channel's bytes into messages: every byte read from the server passes here once.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <span>
#include <vector>

#include "transport/sftp/message_splitter.h"
#include "transport/sftp/packet.h"

namespace bt::sftp {
namespace {

constexpr std::size_t kStreamBytes = 4U << 20U;

// DATA replies of `body` bytes, as many as fit.
std::vector<std::byte> Stream(std::size_t body) {
  const std::vector<std::byte> bytes(body, std::byte{7});
  const std::vector<std::byte> message = PacketWriter(MessageType::kData, body + 16).U32(1).Bytes(bytes).Take();
  std::vector<std::byte> stream;
  do {
    stream.insert(stream.end(), message.begin(), message.end());
  } while (stream.size() < kStreamBytes);
  return stream;
}

// Arguments: bytes of a reply, bytes that the channel hands over at a time (32 KiB: one SSH packet).
void BM_Split(benchmark::State& state) {
  const std::vector<std::byte> stream = Stream(static_cast<std::size_t>(state.range(0)));
  const auto piece = static_cast<std::size_t>(state.range(1));
  std::size_t messages = 0;
  for (auto _ : state) {
    MessageSplitter splitter([&](UninitializedBytes message) -> Status {
      benchmark::DoNotOptimize(message.data());
      ++messages;
      return {};
    });
    for (std::size_t at = 0; at < stream.size(); at += piece) {
      if (!splitter.Feed(std::span(stream).subspan(at, std::min(piece, stream.size() - at))).ok()) {
        state.SkipWithError("the splitter refused a good message");
        return;
      }
    }
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(stream.size()));
  state.SetItemsProcessed(static_cast<std::int64_t>(messages));
}
BENCHMARK(BM_Split)->Args({261120, 32768})->Args({32768, 32768})->Args({64, 32768})->Args({261120, 262144});

}  // namespace
}  // namespace bt::sftp
