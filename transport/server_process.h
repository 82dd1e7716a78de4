// The process at the other end that executes our requests, as /proc shows it through SFTP itself.
//
// A connection that is lost leaves its server behind, and that goes on to execute what it still has in its pipe: a
// write that is replayed on a new connection can so be executed a second time, after later writes to the same place.
// Only when the old process has ended is it sure that nothing of it comes any more (transport/RECONNECT.md).
//
// Threading: plain values and functions; each blocks for a few round trips, until ctx ends.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "transport/base/op_context.h"
#include "transport/base/result.h"
#include "transport/remote_fs.h"
#include "transport/server_clock.h"

namespace bt {

struct ServerProcess {
  std::int64_t pid = 0;
  std::string started;  // field 22 of /proc/PID/stat: tells it from a later process with the same number

  bool operator==(const ServerProcess&) const = default;
};

enum class ProcessTrace {
  kGone,     // nothing of it comes any more
  kAsleep,   // alive, and waiting for something: usually for a request
  kWorking,  // alive, and running or waiting for a disk
};

struct ProcessSight {
  ServerProcess process;
  ProcessTrace trace = ProcessTrace::kGone;
};

// One line of /proc/PID/stat. kInvalid when it is something else.
Result<ProcessSight> ParseProcessStat(std::string_view line);

// The process that answers on `fs`. Fails where the server has no /proc that it shows. `clock` learns what time it is
// there, after the first of 2 RT.
Result<ServerProcess> FindServerProcess(const OpContext& ctx, RemoteFs& fs, ServerClock* clock = nullptr);

// What has become of a process, seen through `fs`.
Result<ProcessTrace> LookFor(const OpContext& ctx, RemoteFs& fs, const ServerProcess& process);

struct SettleOptions {
  bool look_at_processes = true;
  // How long to wait for the end of a process that sleeps all the while, or that cannot be seen at all. Its requests
  // can still be on the way to it only as long as bytes are kept up somewhere in the network.
  std::chrono::milliseconds asleep{2'000};
  std::chrono::milliseconds working{30'000};  // for one that has something to do
};

enum class Settled {
  kGone,         // proved: the old process has ended
  kAsleep,       // it slept all the time that was granted
  kWorking,      // it was at work all the time that was granted
  kNotTraceable  // the time was waited out blindly
};

// Waits until `old` has ended, as far as `fs` (a newer connection to the same container, served by `own`) can tell.
// Errors are those of `fs` when its connection ends, and those of the context.
Result<Settled> AwaitEnd(const OpContext& ctx, RemoteFs& fs, const ServerProcess* old, const ServerProcess* own,
                         const SettleOptions& options);

}  // namespace bt
