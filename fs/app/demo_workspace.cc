#include "fs/app/demo_workspace.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <string>

#include <fmt/format.h>

namespace bt::app {
namespace {

constexpr const char* kReadme = R"(# demo123

This folder is the workspace of a training container that does not exist: an OpenSSH server on this machine, reached the
way a real one is (certificate, TLS proxy, SFTP). Read it, write to it, rename, delete: it is yours.
)";

constexpr const char* kTrain = R"(import math

for step in range(1, 201):
    loss = 2.5 * math.exp(-step / 60) + 0.3
    print(f"step {step:4d}  loss {loss:.4f}", flush=True)
)";

std::string TrainingLog() {
  std::string log;
  for (int step = 1; step <= 200; ++step) {
    log += fmt::format("step {:4d}  loss {:.4f}\n", step, 2.5 * std::exp(-step / 60.0) + 0.3);
  }
  return log;
}

// A valid safetensors file with one float tensor: u64 length of the header, JSON header, data; all little-endian.
std::string Checkpoint() {
  static_assert(std::endian::native == std::endian::little, "written as it lies in memory");
  constexpr std::size_t kRows = 256;
  constexpr std::size_t kColumns = 1024;
  std::string header = fmt::format(R"({{"layer.0.weight":{{"dtype":"F32","shape":[{},{}],"data_offsets":[0,{}]}}}})",
                                   kRows, kColumns, kRows * kColumns * sizeof(float));
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const std::uint64_t length = header.size();
  std::string file(reinterpret_cast<const char*>(&length), sizeof length);
  file += header;
  for (std::size_t i = 0; i < kRows * kColumns; ++i) {
    const float weight = std::sin(static_cast<float>(i) / 1000.0F);
    file.append(reinterpret_cast<const char*>(&weight), sizeof weight);
  }
  return file;
}

Status WriteIfMissing(const std::filesystem::path& path, const std::string& text) {
  if (std::filesystem::exists(path)) {
    return {};
  }
  std::error_code problem;
  std::filesystem::create_directories(path.parent_path(), problem);
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file) {
    return Error{Code::kFailure, fmt::format("cannot write {}; is the disk full?", path.string()), "demo.workspace"};
  }
  return {};
}

}  // namespace

Status MakeDemoWorkspace(const std::filesystem::path& directory) {
  TRY(WriteIfMissing(directory / "README.md", kReadme));
  TRY(WriteIfMissing(directory / "train.py", kTrain));
  TRY(WriteIfMissing(directory / "logs" / "train.log", TrainingLog()));
  for (const int step : {100, 200}) {
    TRY(WriteIfMissing(directory / "checkpoints" / fmt::format("step-{}", step) / "model.safetensors", Checkpoint()));
  }
  std::error_code ignored;
  std::filesystem::create_symlink("step-200", directory / "checkpoints" / "latest", ignored);
  return {};
}

}  // namespace bt::app
