#include "transport/base/units.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace bt {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

TEST(Units, LiteralsAreBinary) {
  EXPECT_EQ(1_KiB, 1024U);
  EXPECT_EQ(3_MiB, 3U * 1024 * 1024);
  EXPECT_EQ(5_GiB, 5ULL * 1024 * 1024 * 1024);
}

TEST(Units, ParsesByteSizes) {
  struct Row {
    std::string_view text;
    std::uint64_t bytes;
  };
  const std::vector<Row> rows{{"0", 0},
                              {"512", 512},
                              {"17B", 17},
                              {"64KiB", 64_KiB},
                              {"64K", 64_KiB},
                              {"64k", 64_KiB},
                              {"4MiB", 4_MiB},
                              {"4M", 4_MiB},
                              {"4m", 4_MiB},
                              {"2GiB", 2_GiB},
                              {"2G", 2_GiB},
                              {"1TiB", 1024_GiB},
                              {"1T", 1024_GiB},
                              {"3kB", 3000},
                              {"3MB", 3'000'000},
                              {"3GB", 3'000'000'000},
                              {"3TB", 3'000'000'000'000},
                              {"0GiB", 0},
                              {"007", 7},
                              {"9223372036854775807", 9223372036854775807U}};
  for (const auto& row : rows) {
    const Result<std::uint64_t> size = ParseByteSize(row.text);
    ASSERT_TRUE(size.ok()) << row.text;
    EXPECT_EQ(size.value(), row.bytes) << row.text;
  }
}

TEST(Units, RefusesWhatIsNoByteSize) {
  for (const std::string_view text : {"", " ", "KiB", "-1", "+1", "1.5GiB", "4 MiB", " 4MiB", "4MiB ", "4mib", "4MIB",
                                      "4KB", "4PiB", "0x10", "1e3", "4MiBs", "1M2"}) {
    const Result<std::uint64_t> size = ParseByteSize(text);
    ASSERT_FALSE(size.ok()) << text;
    EXPECT_EQ(size.error().code, Code::kInvalid) << text;
    EXPECT_NE(size.error().text.find(text), std::string::npos) << "the message quotes what was written";
  }
}

TEST(Units, RefusesByteSizesBeyondAnyFile) {
  // What fits in neither off_t nor a file.
  for (const std::string_view text : {"9223372036854775808", "18446744073709551615", "18446744073709551616",
                                      "99999999999999999999999", "9007199254740992KiB", "8388608TiB"}) {
    const Result<std::uint64_t> size = ParseByteSize(text);
    ASSERT_FALSE(size.ok()) << text;
    EXPECT_EQ(size.error().code, Code::kInvalid) << text;
  }
  EXPECT_EQ(ParseByteSize("8388607TiB").value(), 8388607ULL * 1024_GiB);
}

TEST(Units, ParsesDurations) {
  struct Row {
    std::string_view text;
    milliseconds duration;
  };
  const std::vector<Row> rows{{"0", milliseconds(0)}, {"250ms", milliseconds(250)}, {"30s", seconds(30)},
                              {"30", seconds(30)},    {"5m", minutes(5)},           {"5min", minutes(5)},
                              {"2h", hours(2)},       {"0ms", milliseconds(0)}};
  for (const auto& row : rows) {
    const Result<milliseconds> duration = ParseDuration(row.text);
    ASSERT_TRUE(duration.ok()) << row.text;
    EXPECT_EQ(duration.value(), row.duration) << row.text;
  }
}

TEST(Units, RefusesWhatIsNoDuration) {
  for (const std::string_view text : {"", "s", "-1s", "1.5s", "30 s", "30S", "1d", "1h30m", "ms", "1us"}) {
    const Result<milliseconds> duration = ParseDuration(text);
    ASSERT_FALSE(duration.ok()) << text;
    EXPECT_EQ(duration.error().code, Code::kInvalid) << text;
  }
}

TEST(Units, RefusesDurationsBeyondTheClock) {
  EXPECT_FALSE(ParseDuration("9223372036854775808ms").ok());
  EXPECT_FALSE(ParseDuration("9223372036854775807h").ok());
}

TEST(Units, FormatsByteSizes) {
  struct Row {
    std::uint64_t bytes;
    std::string_view text;
  };
  const std::vector<Row> rows{{0, "0 B"},
                              {17, "17 B"},
                              {1023, "1023 B"},
                              {1_KiB, "1.0 KiB"},
                              {1536, "1.5 KiB"},
                              {1_MiB, "1.0 MiB"},
                              {1536_MiB, "1.5 GiB"},
                              {2048_GiB, "2.0 TiB"},
                              {std::numeric_limits<std::uint64_t>::max(), "16777216.0 TiB"}};
  for (const auto& row : rows) {
    EXPECT_EQ(FormatByteSize(row.bytes), row.text);
  }
}

TEST(Units, FormatsDurations) {
  struct Row {
    milliseconds duration;
    std::string_view text;
  };
  const std::vector<Row> rows{
      {milliseconds(0), "0 ms"},    {milliseconds(250), "250 ms"}, {milliseconds(999), "999 ms"},
      {seconds(1), "1.0 s"},        {milliseconds(2100), "2.1 s"}, {seconds(60), "1 min 0 s"},
      {seconds(200), "3 min 20 s"}, {minutes(59), "59 min 0 s"},   {hours(1), "1 h 0 min"},
      {minutes(150), "2 h 30 min"}, {hours(49), "49 h 0 min"}};
  for (const auto& row : rows) {
    EXPECT_EQ(FormatDuration(row.duration), row.text);
  }
}

}  // namespace
}  // namespace bt
