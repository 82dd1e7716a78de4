// What the server would send, so that every byte the cache yields can be held against it; and keys for it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cache/block_key.h"

namespace bt {

// Each byte is a function of the file's number and its own position.
inline std::vector<std::byte> TrueBytes(std::uint64_t file, std::uint64_t offset, std::uint64_t length) {
  std::vector<std::uint64_t> words(length / 8 + 2);
  for (std::uint64_t i = 0; i < words.size(); ++i) {
    const std::uint64_t word = (offset / 8 + i + 1) * 0x9E3779B97F4A7C15U + file * 0xD6E8FEB86659FD93U;
    words[i] = word ^ (word >> 29U);
  }
  std::vector<std::byte> bytes(length);
  const std::span<const std::byte> all = std::as_bytes(std::span(words));
  std::copy_n(all.begin() + static_cast<std::ptrdiff_t>(offset % 8), length, bytes.begin());
  return bytes;
}

inline BlockKey KeyOf(const std::string& path, std::uint64_t size, std::int64_t mtime = 1'700'000'000) {
  return {.workspace = "training-job-abc1234-0",
          .path = RemotePath::Parse(path).value(),
          .version = {.size = size, .mtime = mtime}};
}

}  // namespace bt
