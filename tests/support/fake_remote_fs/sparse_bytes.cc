#include "tests/support/fake_remote_fs/sparse_bytes.h"

#include <algorithm>

namespace bt {

std::size_t SparseBytes::Read(std::uint64_t offset, std::span<std::byte> out) const {
  if (offset >= size_) {
    return 0;
  }
  const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), size_ - offset));
  std::fill_n(out.begin(), count, std::byte{0});
  const std::uint64_t end = offset + count;
  for (auto it = blocks_.lower_bound(offset / kBlock); it != blocks_.end() && it->first * kBlock < end; ++it) {
    const std::uint64_t block_begin = it->first * kBlock;
    const std::uint64_t from = std::max(offset, block_begin);
    const std::uint64_t to = std::min(end, block_begin + it->second.size());
    if (from < to) {
      std::copy_n(it->second.begin() + static_cast<std::ptrdiff_t>(from - block_begin), to - from,
                  out.begin() + static_cast<std::ptrdiff_t>(from - offset));
    }
  }
  return count;
}

void SparseBytes::Write(std::uint64_t offset, std::span<const std::byte> bytes) {
  if (bytes.empty()) {
    return;
  }
  size_ = std::max(size_, offset + bytes.size());
  while (!bytes.empty()) {
    const auto within = static_cast<std::size_t>(offset % kBlock);
    const std::size_t count = std::min<std::size_t>(bytes.size(), kBlock - within);
    std::vector<std::byte>& block = blocks_[offset / kBlock];
    block.resize(std::max(block.size(), within + count));
    std::copy_n(bytes.begin(), count, block.begin() + static_cast<std::ptrdiff_t>(within));
    bytes = bytes.subspan(count);
    offset += count;
  }
}

void SparseBytes::Resize(std::uint64_t size) {
  if (size < size_) {
    const std::uint64_t last = size / kBlock;
    blocks_.erase(blocks_.upper_bound(last), blocks_.end());
    if (const auto it = blocks_.find(last); it != blocks_.end()) {
      it->second.resize(std::min<std::size_t>(it->second.size(), size % kBlock));
    }
  }
  size_ = size;
}

std::size_t SparseBytes::allocated() const {
  std::size_t sum = 0;
  for (const auto& [index, block] : blocks_) {
    sum += block.size();
  }
  return sum;
}

}  // namespace bt
