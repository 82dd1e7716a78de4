#include "tests/fault/fault_test.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <random>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace bt::fault {

namespace stdfs = std::filesystem;
using Clock = std::chrono::steady_clock;

std::uint64_t Seed() {
  static const std::uint64_t kSeed = [] {
    const char* given = std::getenv("BT_FAULT_SEED");
    const std::uint64_t drawn = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::cout << "BT_FAULT_SEED=" << drawn << "\n";
    return drawn;
  }();
  return kSeed;
}

void FaultTest::SetUp() {
  ServiceTest::SetUp();
  environment_["XDG_RUNTIME_DIR"] = home().string();
}

void FaultTest::TearDown() {
  // Whatever the test did to the link, the mount must end well.
  service().link().StopCutting();
  service().link().EndStall();
  service().ClearApiFault();
  ServiceTest::TearDown();
}

app::MountStatus FaultTest::Status() {
  const Finished asked = BtMount({"status", "--json"});
  const auto list = nlohmann::json::parse(asked.out, nullptr, false);
  if (!list.is_array() || list.size() != 1) {
    ADD_FAILURE() << "status says: " << asked.all();
    return {};
  }
  return app::ParseStatus(list[0].dump()).value_or(app::MountStatus());
}

bool FaultTest::WaitForLink(const std::string& state) {
  return WaitUntil([&] { return state.find(Status().link) != std::string::npos; });
}

bool FaultTest::WaitUntil(const std::function<bool()>& condition, seconds patience) {
  for (const auto end = Clock::now() + patience; Clock::now() < end;) {
    if (condition()) {
      return true;
    }
    std::this_thread::sleep_for(milliseconds(50));
  }
  return condition();
}

void FaultTest::CutEvery(milliseconds min, milliseconds max) { service().link().CutEvery(Seed(), min, max); }

std::unique_ptr<Program> FaultTest::StartShell(const std::string& command) {
  e2e::ProgramOptions options{.environment = environment_, .directory = local(), .scratch = directory()};
  options.environment["M"] = mount().string();
  options.environment["S"] = server().string();
  options.environment["D"] = local().string();
  return std::make_unique<Program>(Words{"/bin/bash", "-c", command}, options);
}

milliseconds FaultTest::TimeToEnd(Program& program, int signal) {
  const auto began = Clock::now();
  program.Signal(signal);
  const Finished ended = program.Wait(seconds(20));
  EXPECT_GE(ended.exit_code, 1);
  return std::chrono::duration_cast<milliseconds>(Clock::now() - began);
}

FaultTest::Usage FaultTest::UsageOfDaemon() {
  const stdfs::path proc = "/proc/" + std::to_string(Daemon());
  Usage usage;
  std::error_code gone;
  for ([[maybe_unused]] const auto& fd : stdfs::directory_iterator(proc / "fd", gone)) {
    ++usage.descriptors;
  }
  std::ifstream status(proc / "status");
  for (std::string key; status >> key;) {
    if (key == "Threads:") {
      status >> usage.threads;
    } else if (key == "VmRSS:") {
      status >> usage.resident_kib;
    }
  }
  return usage;
}

}  // namespace bt::fault
