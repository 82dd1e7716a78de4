#include <cstdio>

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

struct RunCommand {
  int operator()(const MountOptions& options) const { return RunMount(options); }
  int operator()(const UnmountOptions& options) const { return RunUnmount(options); }
  int operator()(const StatusOptions& options) const { return RunStatus(options); }
  int operator()(const CacheOptions& options) const { return RunCache(options); }
  int operator()(const DemoOptions& options) const { return RunDemo(options); }
  int operator()(const PrintAndExit& print) const {
    fmt::print("{}", print.text);
    return print.code;
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

int main(int argc, char** argv) { return bt::app::Main(argc, argv); }
