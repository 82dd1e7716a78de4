#include <cerrno>
#include <cstdio>
#include <exception>

#include <fmt/format.h>

#include "fs/app/cache_command.h"
#include "fs/app/demo_command.h"
#include "fs/app/mount_command.h"
#include "fs/app/options.h"
#include "fs/app/status_command.h"
#include "fs/app/unmount_command.h"

namespace bt::app {
namespace {

constexpr int kUsageError = 2;

// What was to be printed and could not be is a failure.
int Printed(int code) {
  if (std::fflush(stdout) == 0) {
    return code;
  }
  fmt::print(stderr, "bt-mount: cannot write to standard output: {}\n", SystemText(errno));
  return code == 0 ? 1 : code;
}

struct RunCommand {
  int operator()(const MountOptions& options) const { return RunMount(options); }
  int operator()(const UnmountOptions& options) const { return RunUnmount(options); }
  int operator()(const StatusOptions& options) const { return Printed(RunStatus(options)); }
  int operator()(const CacheOptions& options) const { return Printed(RunCache(options)); }
  int operator()(const DemoOptions& options) const { return RunDemo(options); }
  int operator()(const PrintAndExit& print) const {
    fmt::print("{}", print.text);
    return Printed(print.code);
  }
};

int Main(int argc, const char* const* argv) {
  const auto command = ParseCommandLine(argc, argv);
  if (!command) {
    fmt::print(stderr, "bt-mount: {}\n", command.error().text);
    return kUsageError;
  }
  return std::visit(RunCommand{}, *command);
}

}  // namespace
}  // namespace bt::app

int main(int argc, char** argv) try {
  return bt::app::Main(argc, argv);
} catch (const std::exception& problem) {  // of fmt and the library: memory, standard output that takes no more
  std::fprintf(stderr, "bt-mount: %s\n", problem.what());
  return 1;
}
