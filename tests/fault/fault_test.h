// Fixture of the fault tests: the mounted workspace of the end-to-end tests, the words to break its link, and to ask
// the mount how it is.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "fs/app/mount_status.h"
#include "tests/e2e/mounted_workspace.h"

namespace bt::fault {

using e2e::Finished;
using e2e::Program;
using e2e::Words;
using std::chrono::milliseconds;
using std::chrono::seconds;

class FaultTest : public e2e::ServiceTest {
 protected:
  void SetUp() override;
  void TearDown() override;

  // `bt-mount status --json` of the one mount.
  app::MountStatus Status();
  // Until the link is in one of the states ("up", "backing off or dialing", ...); false after 60 s.
  bool WaitForLink(const std::string& state);
  static bool WaitUntil(const std::function<bool()>& condition, seconds patience = seconds(60));

  // Cuts the link again and again until the end of the test; prints the seed.
  void CutEvery(milliseconds min, milliseconds max);
  std::uint64_t cuts() { return service().link().counters().cuts; }

  // A program in the mount, and how long a signal takes to end it.
  std::unique_ptr<Program> StartShell(const std::string& command);
  static milliseconds TimeToEnd(Program& program, int signal);

  struct Usage {
    std::size_t descriptors = 0;
    std::size_t threads = 0;
    std::size_t resident_kib = 0;
  };
  static Usage UsageOfDaemon();
};

std::uint64_t Seed();  // of this run; BT_FAULT_SEED repeats one

}  // namespace bt::fault
