// Not a test but a measurement: unit_lanes --gtest_also_run_disabled_tests --gtest_filter=*Throughput*
// BT_LANES_MIB sets the size of the transfer.
#include <cstdio>
#include <cstdlib>

#include "tests/unit/lanes/lane_fixture.h"

namespace bt::lanes {
namespace {

using namespace std::chrono_literals;

class Throughput : public LaneTest {
 protected:
  static std::size_t Size() {
    const char* wanted = std::getenv("BT_LANES_MIB");
    return (wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 256) * 1_MiB;
  }
  static double Rate(TimePoint began, std::size_t bytes) {
    return static_cast<double>(bytes) / 1e6 / std::chrono::duration<double>(Clock::now() - began).count();
  }
};

TEST_F(Throughput, DISABLED_OfReadingAndWritingByLanes) {
  const std::size_t size = Size();
  MakeFile("big", size);
  const std::string content = Content("new", size);
  standin_->link().SetWindow(4_MiB);
  for (const auto rtt : {40ms, 150ms}) {
    for (const unsigned lanes : {0U, 1U, 2U, 4U}) {
      standin_->SetRtt(rtt);
      LaneOptions options;
      options.connections = lanes;
      Connect(options);
      const std::string name = "new" + std::to_string(lanes) + "-" + std::to_string(rtt.count());
      auto file = Open("big");
      TimePoint began = Clock::now();
      const bool read = ReadAll(*file, size, 32).ok();
      const double cold = Rate(began, size);
      file = Open("big");
      began = Clock::now();
      const bool again = ReadAll(*file, size, 32).ok();
      const double warm = Rate(began, size);
      file = Open(name, {.write = true, .create = true});
      began = Clock::now();
      const bool written = WriteAll(*file, content, 16).ok() && file->Sync(Soon()).ok();
      std::printf(
          "rtt %3d ms, %u bulk lanes: read %6.1f MB/s from cold, %6.1f with lanes up; write and fsync %6.1f MB/s%s\n",
          static_cast<int>(rtt.count()), lanes, cold, warm, Rate(began, size),
          read && again && written ? "" : " FAILED");
      std::fflush(stdout);
      EXPECT_TRUE(read && again && written);
      file.reset();
      session_.reset();
      std::remove(LocalPath(name).c_str());
    }
  }
}

}  // namespace
}  // namespace bt::lanes
