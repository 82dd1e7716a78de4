// Paths are parsed and joined for every lookup and every entry of a listing.
#include <benchmark/benchmark.h>

#include <string>

#include "transport/remote_path.h"

namespace bt {
namespace {

void BM_ParsePath(benchmark::State& state) {
  std::string text;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    text += "/component-" + std::to_string(i);
  }
  for (auto _ : state) {
    benchmark::DoNotOptimize(RemotePath::Parse(text));
  }
}
BENCHMARK(BM_ParsePath)->Arg(1)->Arg(6)->Arg(40);

void BM_ParseName(benchmark::State& state) {
  const std::string text(static_cast<std::size_t>(state.range(0)), 'n');
  for (auto _ : state) {
    benchmark::DoNotOptimize(Name::Parse(text));
  }
}
BENCHMARK(BM_ParseName)->Arg(12)->Arg(255);

void BM_JoinPath(benchmark::State& state) {
  const Result<RemotePath> directory = RemotePath::Parse("/b10/workspace/checkpoints/step-1000");
  const Result<Name> name = Name::Parse("model-00001-of-00004.safetensors");
  if (!directory.ok() || !name.ok()) {
    state.SkipWithError("a good path was refused");
    return;
  }
  for (auto _ : state) {
    benchmark::DoNotOptimize(*directory / *name);
  }
}
BENCHMARK(BM_JoinPath);

}  // namespace
}  // namespace bt
