// The bytes of a block file: where things lie, what a header and a checksum are. FORMAT.md tells it in full.
//
// Threading: pure functions, plain values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "cache/block_key.h"

namespace bt {

// A block file is a row of extents of 4 MiB. An extent holds 127 granules of the remote file; its first granule-sized
// slot holds their checksums, and in the first extent the header too.
inline constexpr std::uint64_t kExtentGranules = 127;
inline constexpr std::uint64_t kExtentStride = (kExtentGranules + 1) * kGranule;  // in the block file
inline constexpr std::uint64_t kExtentBytes = kExtentGranules * kGranule;         // of the remote file

// The map of an extent, as it lies on disk.
struct ExtentMap {
  std::uint32_t last_use = 0;  // seconds since 1970, for eviction; may be wrong without harm
  std::uint32_t unused = 0;
  std::array<std::uint64_t, kExtentGranules> checksums{};  // 0: the granule is absent
};
static_assert(sizeof(ExtentMap) == 1024);

constexpr std::uint64_t GranulesOf(std::uint64_t size) { return size / kGranule + (size % kGranule == 0 ? 0 : 1); }
constexpr std::uint64_t ExtentsOf(std::uint64_t size) {
  return (GranulesOf(size) + kExtentGranules - 1) / kExtentGranules;
}
constexpr std::uint64_t GranuleFloor(std::uint64_t offset) { return offset / kGranule * kGranule; }
constexpr std::uint64_t GranuleCeiling(std::uint64_t offset) { return GranuleFloor(offset + kGranule - 1); }
// The last granule of a file may be short.
constexpr std::uint64_t GranuleBytes(std::uint64_t granule, std::uint64_t size) {
  return size - granule * kGranule < kGranule ? size - granule * kGranule : kGranule;
}

constexpr std::uint64_t MapOffset(std::uint64_t extent) { return extent * kExtentStride; }
constexpr std::uint64_t ChecksumOffset(std::uint64_t granule) {
  return MapOffset(granule / kExtentGranules) + offsetof(ExtentMap, checksums) + granule % kExtentGranules * 8;
}
constexpr std::uint64_t BytesOffset(std::uint64_t granule) {
  return MapOffset(granule / kExtentGranules) + (1 + granule % kExtentGranules) * kGranule;
}

// Of the bytes of granule number `granule` in the file with this salt; never 0. The salt is a file's own and the number
// is mixed in, so that bytes which lie in a wrong place, with their checksum or without, do not verify.
std::uint64_t GranuleChecksum(std::uint64_t salt, std::uint64_t granule, std::span<const std::byte> bytes);

struct BlockHeader {
  std::uint64_t salt = 0;  // random, made with the file
  BlockKey key;
};

inline constexpr std::uint64_t kHeaderOffset = sizeof(ExtentMap);
inline constexpr std::uint64_t kLongestHeader = kGranule - kHeaderOffset;

// Empty when the key's names are too long for a header (more than 30 KiB): such a file is not cached.
std::vector<std::byte> EncodeHeader(const BlockHeader& header);

// Nothing unless every byte is as EncodeHeader() makes them. `bytes` may be longer than the header.
std::optional<BlockHeader> DecodeHeader(std::span<const std::byte> bytes);

}  // namespace bt
