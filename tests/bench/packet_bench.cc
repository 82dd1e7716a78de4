// What one SFTP message costs to write and to read: the client spends this once for every request on the wire.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "transport/sftp/packet.h"
#include "transport/sftp/replies.h"
#include "transport/sftp/requests.h"

namespace bt::sftp {
namespace {

constexpr std::string_view kHandle("\0\0\0\7", 4);  // as OpenSSH makes them
constexpr std::string_view kPath = "/b10/workspace/checkpoints/step-1000/model-00001-of-00004.safetensors";
constexpr std::uint32_t kOpenSshTransfer = 261120;

Reply AsReply(const std::vector<std::byte>& message) {
  return Reply(UninitializedBytes(message.begin() + 4, message.end()));  // the splitter takes the length off
}

AttributeChange AllAttributes() {
  AttributeChange all;
  all.size = 5ULL << 30U;
  all.owner = AttributeChange::Owner{1000, 1000};
  all.permissions = 0100644;
  all.times = AttributeChange::Times{1'700'000'000, 1'700'000'000};
  return all;
}

void CountBytes(benchmark::State& state, std::size_t bytes) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes));
}

void BM_EncodeRead(benchmark::State& state) {
  std::uint64_t offset = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(ReadRequest(kHandle, offset, kOpenSshTransfer));
    offset += kOpenSshTransfer;
  }
}
BENCHMARK(BM_EncodeRead);

void BM_EncodeLstat(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(LstatRequest(kPath));
  }
}
BENCHMARK(BM_EncodeLstat);

void BM_EncodeWrite(benchmark::State& state) {
  const std::vector<std::byte> bytes(static_cast<std::size_t>(state.range(0)), std::byte{7});
  for (auto _ : state) {
    benchmark::DoNotOptimize(WriteRequest(kHandle, 0, bytes));
  }
  CountBytes(state, bytes.size());
}
BENCHMARK(BM_EncodeWrite)->Arg(4096)->Arg(32768)->Arg(kOpenSshTransfer);

void BM_DecodeAttributes(benchmark::State& state) {
  const Reply reply = AsReply(PacketWriter(MessageType::kAttrs, 64).U32(1).Change(AllAttributes()).Take());
  for (auto _ : state) {
    benchmark::DoNotOptimize(DecodeAttributes(reply));
  }
}
BENCHMARK(BM_DecodeAttributes);

// One READDIR reply of OpenSSH: 100 names with their attributes and the line that "ls -l" would print.
void BM_DecodeNames(benchmark::State& state) {
  constexpr std::uint32_t kNames = 100;
  PacketWriter writer(MessageType::kName, 16384);
  writer.U32(1).U32(kNames);
  for (std::uint32_t i = 0; i < kNames; ++i) {
    const std::string name = "model-" + std::to_string(i) + ".safetensors";
    writer.String(name).String("-rw-r--r--    1 1000     1000   5368709120 Nov 14 22:13 " + name);
    writer.Change(AllAttributes());
  }
  const Reply reply = AsReply(writer.Take());
  for (auto _ : state) {
    benchmark::DoNotOptimize(DecodeNames(reply));
  }
  state.SetItemsProcessed(state.iterations() * kNames);
}
BENCHMARK(BM_DecodeNames);

// Must not depend on the size: the bytes are not looked at.
void BM_DecodeData(benchmark::State& state) {
  const std::vector<std::byte> bytes(static_cast<std::size_t>(state.range(0)), std::byte{7});
  const Reply reply = AsReply(PacketWriter(MessageType::kData, bytes.size() + 16).U32(1).Bytes(bytes).Take());
  for (auto _ : state) {
    benchmark::DoNotOptimize(DecodeData(reply));
  }
}
BENCHMARK(BM_DecodeData)->Arg(4096)->Arg(kOpenSshTransfer);

}  // namespace
}  // namespace bt::sftp
