#include "cache/block_file_format.h"

#include <xxhash.h>

#include <bit>
#include <cstring>

namespace bt {
namespace {

// Numbers are stored as the processor has them. All processors that run this are little-endian.
static_assert(std::endian::native == std::endian::little);

constexpr std::uint32_t kFormat = 2;
constexpr std::array<char, 8> kMagic{'b', 't', 'b', 'l', 'o', 'c', 'k', 's'};

struct FixedHeader {
  std::array<char, 8> magic = kMagic;
  std::uint32_t format = kFormat;
  std::uint32_t granule = kGranule;
  std::uint64_t salt = 0;
  std::uint64_t size = 0;
  std::int64_t mtime = 0;
  std::uint64_t epoch = 0;
  std::uint32_t workspace_bytes = 0;
  std::uint32_t path_bytes = 0;
};
static_assert(sizeof(FixedHeader) == 56);

constexpr std::size_t kChecksumBytes = 8;

std::uint64_t HeaderChecksum(std::span<const std::byte> bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

}  // namespace

std::uint64_t GranuleChecksum(std::uint64_t salt, std::uint64_t granule, std::span<const std::byte> bytes) {
  const std::uint64_t checksum = XXH3_64bits_withSeed(bytes.data(), bytes.size(), salt + granule);
  return checksum == 0 ? 1 : checksum;
}

std::vector<std::byte> EncodeHeader(const BlockHeader& header) {
  const std::string& path = header.key.path.text();
  const std::size_t names = header.key.workspace.size() + path.size();
  if (names > kLongestHeader - sizeof(FixedHeader) - kChecksumBytes) {
    return {};
  }
  FixedHeader fixed;
  fixed.salt = header.salt;
  fixed.size = header.key.version.size;
  fixed.mtime = header.key.version.mtime;
  fixed.epoch = header.key.epoch;
  fixed.workspace_bytes = static_cast<std::uint32_t>(header.key.workspace.size());
  fixed.path_bytes = static_cast<std::uint32_t>(path.size());

  std::vector<std::byte> bytes(sizeof(fixed) + names + kChecksumBytes);
  std::byte* at = bytes.data();
  std::memcpy(at, &fixed, sizeof(fixed));
  at += sizeof(fixed);
  std::memcpy(at, header.key.workspace.data(), header.key.workspace.size());
  at += header.key.workspace.size();
  std::memcpy(at, path.data(), path.size());
  at += path.size();
  const std::uint64_t checksum = HeaderChecksum(std::span(bytes).first(sizeof(fixed) + names));
  std::memcpy(at, &checksum, kChecksumBytes);
  return bytes;
}

std::optional<BlockHeader> DecodeHeader(std::span<const std::byte> bytes) {
  FixedHeader fixed;
  if (bytes.size() < sizeof(fixed)) {
    return std::nullopt;
  }
  std::memcpy(&fixed, bytes.data(), sizeof(fixed));
  const std::uint64_t names = std::uint64_t{fixed.workspace_bytes} + fixed.path_bytes;
  if (fixed.magic != kMagic || fixed.format != kFormat || fixed.granule != kGranule ||
      names > bytes.size() - sizeof(fixed) || bytes.size() - sizeof(fixed) - names < kChecksumBytes) {
    return std::nullopt;
  }
  std::uint64_t checksum = 0;
  std::memcpy(&checksum, bytes.data() + sizeof(fixed) + names, kChecksumBytes);
  if (checksum != HeaderChecksum(bytes.first(sizeof(fixed) + names))) {
    return std::nullopt;
  }
  const auto* text = reinterpret_cast<const char*>(bytes.data() + sizeof(fixed));
  auto path = RemotePath::Parse(std::string_view(text + fixed.workspace_bytes, fixed.path_bytes));
  if (!path) {
    return std::nullopt;
  }
  return BlockHeader{.salt = fixed.salt,
                     .key = {.workspace = std::string(text, fixed.workspace_bytes),
                             .path = std::move(*path),
                             .version = {.size = fixed.size, .mtime = fixed.mtime},
                             .epoch = fixed.epoch}};
}

}  // namespace bt
