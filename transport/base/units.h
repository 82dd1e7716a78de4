// Sizes and durations as people write them: "4MiB", "30s".
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "transport/base/result.h"

namespace bt {

inline constexpr std::uint64_t operator""_KiB(unsigned long long n) { return n << 10U; }
inline constexpr std::uint64_t operator""_MiB(unsigned long long n) { return n << 20U; }
inline constexpr std::uint64_t operator""_GiB(unsigned long long n) { return n << 30U; }

// "0", "512", "64KiB", "4MiB", "2GiB", "1TiB"; also K, M, G, T (binary) and kB, MB, GB, TB (decimal). kInvalid
// otherwise.
Result<std::uint64_t> ParseByteSize(std::string_view text);

// "0", "250ms", "30s", "5m", "2h"; a bare number means seconds. kInvalid otherwise.
Result<std::chrono::milliseconds> ParseDuration(std::string_view text);

// "1.5 GiB", "17 B": for messages.
std::string FormatByteSize(std::uint64_t bytes);

// "2.1 s", "250 ms", "3 min 20 s": for messages.
std::string FormatDuration(std::chrono::milliseconds duration);

}  // namespace bt
