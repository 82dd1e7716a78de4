#include "transport/base/units.h"

#include <array>
#include <charconv>
#include <limits>

#include <fmt/format.h>

namespace bt {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

// Splits "12MiB" into 12 and "MiB"; false when there is no number in front.
bool SplitNumber(std::string_view text, std::uint64_t& number, std::string_view& unit) {
  const char* end = text.data() + text.size();
  const auto [rest, problem] = std::from_chars(text.data(), end, number);
  if (problem != std::errc() || rest == text.data()) {
    return false;
  }
  unit = std::string_view(rest, static_cast<std::size_t>(end - rest));
  return true;
}

template <std::size_t N>
Result<std::uint64_t> ParseWithUnits(std::string_view text, const std::array<Unit, N>& units,
                                     std::string_view example) {
  std::uint64_t number = 0;
  std::string_view name;
  if (SplitNumber(text, number, name)) {
    for (const Unit& unit : units) {
      if (unit.name != name) {
        continue;
      }
      if (number > std::numeric_limits<std::int64_t>::max() / unit.factor) {
        return Error{Code::kInvalid, fmt::format("\"{}\" is too large", text), "units.range"};
      }
      return number * unit.factor;
    }
  }
  return Error{Code::kInvalid, fmt::format("\"{}\" is not understood; write for example {}", text, example),
               "units.parse"};
}

}  // namespace

Result<std::uint64_t> ParseByteSize(std::string_view text) {
  static constexpr std::array<Unit, 18> kUnits{{{"", 1},
                                                {"B", 1},
                                                {"K", 1_KiB},
                                                {"k", 1_KiB},
                                                {"KiB", 1_KiB},
                                                {"M", 1_MiB},
                                                {"m", 1_MiB},
                                                {"MiB", 1_MiB},
                                                {"G", 1_GiB},
                                                {"g", 1_GiB},
                                                {"GiB", 1_GiB},
                                                {"T", 1024_GiB},
                                                {"t", 1024_GiB},
                                                {"TiB", 1024_GiB},
                                                {"kB", 1000},
                                                {"MB", 1000 * 1000},
                                                {"GB", 1000 * 1000 * 1000},
                                                {"TB", 1000ULL * 1000 * 1000 * 1000}}};
  return ParseWithUnits(text, kUnits, "64KiB, 4MiB or 2GiB");
}

Result<std::chrono::milliseconds> ParseDuration(std::string_view text) {
  static constexpr std::array<Unit, 6> kUnits{
      {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"min", 60 * 1000}, {"h", 60 * 60 * 1000}}};
  const std::uint64_t milliseconds = TRY(ParseWithUnits(text, kUnits, "250ms, 30s or 5m"));
  return std::chrono::milliseconds(milliseconds);
}

std::string FormatByteSize(std::uint64_t bytes) {
  static constexpr std::array<Unit, 4> kUnits{{{"TiB", 1024_GiB}, {"GiB", 1_GiB}, {"MiB", 1_MiB}, {"KiB", 1_KiB}}};
  for (const Unit& unit : kUnits) {
    if (bytes >= unit.factor) {
      return fmt::format("{:.1f} {}", static_cast<double>(bytes) / static_cast<double>(unit.factor), unit.name);
    }
  }
  return fmt::format("{} B", bytes);
}

std::string FormatDuration(std::chrono::milliseconds duration) {
  const auto count = duration.count();
  if (count < 1000) {
    return fmt::format("{} ms", count);
  }
  if (count < 60'000) {
    return fmt::format("{:.1f} s", static_cast<double>(count) / 1000);
  }
  const auto seconds = count / 1000;
  if (seconds < 3600) {
    return fmt::format("{} min {} s", seconds / 60, seconds % 60);
  }
  return fmt::format("{} h {} min", seconds / 3600, seconds / 60 % 60);
}

}  // namespace bt
