#include "transport/server_process.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

#include <fmt/format.h>

#include "transport/base/sync.h"

namespace bt {
namespace {

constexpr std::chrono::milliseconds kFirstPause{10};
constexpr std::chrono::milliseconds kLongestPause{200};

// Counted from the one behind the name of the program, which may itself hold spaces and brackets.
constexpr std::size_t kStateField = 0;
constexpr std::size_t kStartedField = 19;

Error NotAProcess() { return Error{Code::kInvalid, "this is no /proc/PID/stat", "server-process.stat"}; }

Result<ProcessSight> ReadStat(const OpContext& ctx, RemoteFs& fs, std::string_view who, ServerClock* clock) {
  const RemotePath path = TRY(RemotePath::Parse(fmt::format("/proc/{}/stat", who)));
  const OpenedFile opened = TRY(fs.Open(ctx, path, OpenFlags{.read = true}, 0));
  if (clock != nullptr) {
    clock->SawProcess(opened.attributes);
  }
  std::array<std::byte, 1024> bytes{};
  const std::size_t got = TRY(opened.file->Read(ctx, 0, bytes));
  return ParseProcessStat({reinterpret_cast<const char*>(bytes.data()), got});
}

bool LinkEnded(const Error& error) {
  return error.code == Code::kDisconnected || error.code == Code::kProtocol || error.code == Code::kTimedOut ||
         error.code == Code::kInterrupted;
}

// Returns early only when the context ends.
Status Pause(const OpContext& ctx, Duration duration) {
  const OpContext until{std::min(ctx.deadline, Clock::now() + duration), ctx.cancel};
  Mutex mutex;
  CondVar never;
  const MutexLock lock(mutex);
  while (until.Check().ok()) {
    never.Wait(mutex, until);
  }
  return ctx.Check();
}

}  // namespace

Result<ProcessSight> ParseProcessStat(std::string_view line) {
  ProcessSight sight;
  const char* const end = line.data() + line.size();
  const auto [rest, problem] = std::from_chars(line.data(), end, sight.process.pid);
  const std::size_t bracket = line.rfind(')');
  if (problem != std::errc() || sight.process.pid <= 0 || std::string_view(rest, end).substr(0, 2) != " (" ||
      bracket == std::string_view::npos) {
    return NotAProcess();
  }
  line.remove_prefix(bracket + 1);
  std::vector<std::string_view> fields;
  while (fields.size() <= kStartedField && !line.empty()) {
    line.remove_prefix(std::min(line.find_first_not_of(" \n"), line.size()));
    const std::string_view field = line.substr(0, line.find_first_of(" \n"));
    line.remove_prefix(field.size());
    if (!field.empty()) {
      fields.push_back(field);
    }
  }
  if (fields.size() <= kStartedField || fields[kStateField].size() != 1) {
    return NotAProcess();
  }
  sight.process.started = fields[kStartedField];
  switch (fields[kStateField].front()) {
    case 'Z':
    case 'X':
    case 'x':
      sight.trace = ProcessTrace::kGone;
      break;
    case 'S':
    case 'I':
    case 'T':
    case 't':
      sight.trace = ProcessTrace::kAsleep;
      break;
    default:
      sight.trace = ProcessTrace::kWorking;
      break;
  }
  return sight;
}

Result<ServerProcess> FindServerProcess(const OpContext& ctx, RemoteFs& fs, ServerClock* clock) {
  return TRY(ReadStat(ctx, fs, "self", clock)).process;
}

Result<ProcessTrace> LookFor(const OpContext& ctx, RemoteFs& fs, const ServerProcess& process) {
  auto sight = ReadStat(ctx, fs, std::to_string(process.pid), nullptr);
  if (!sight) {
    // It may end between the opening of the file and its reading (ESRCH), which SFTP calls a failure.
    if (sight.error().code == Code::kNotFound) {
      return ProcessTrace::kGone;
    }
    return std::move(sight).error();
  }
  return sight->process == process ? sight->trace : ProcessTrace::kGone;
}

Result<Settled> AwaitEnd(const OpContext& ctx, RemoteFs& fs, const ServerProcess* old, const ServerProcess* own,
                         const SettleOptions& options) {
  // One process that serves many connections, the new one as well: it will not end.
  const bool traceable = old != nullptr && own != nullptr && *old != *own;
  const TimePoint began = Clock::now();
  if (!traceable) {
    for (TimePoint now = began; now < began + options.asleep; now = Clock::now()) {
      TRY(Pause(ctx, std::min<Duration>(began + options.asleep - now, kLongestPause)));
      if (Clock::now() < began + options.asleep) {
        const auto alive = fs.Lstat(ctx, RemotePath());
        if (!alive && LinkEnded(alive.error())) {
          return alive.error();
        }
      }
    }
    return Settled::kNotTraceable;
  }
  TimePoint asleep_since = began;
  for (Duration pause = kFirstPause;; pause = std::min<Duration>(2 * pause, kLongestPause)) {
    const auto trace = LookFor(ctx, fs, *old);
    if (!trace && LinkEnded(trace.error())) {
      return trace.error();
    }
    if (trace && *trace == ProcessTrace::kGone) {
      return Settled::kGone;
    }
    const TimePoint now = Clock::now();
    if (trace && *trace == ProcessTrace::kWorking) {
      asleep_since = now;
    }
    if (now - asleep_since >= options.asleep) {
      return trace ? Settled::kAsleep : Settled::kNotTraceable;
    }
    if (now - began >= options.working) {
      return Settled::kWorking;
    }
    TRY(Pause(ctx, pause));
  }
}

}  // namespace bt
