#include "fs/app/mount_command.h"

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <random>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "fs/app/control_socket.h"
#include "fs/app/hardening.h"
#include "fs/app/log.h"
#include "fs/app/mount_plan.h"
#include "fs/app/mount_status.h"
#include "fs/app/remote_root.h"
#include "fs/app/reporter.h"
#include "fs/app/signal_watch.h"
#include "fs/filesystem.h"
#include "transport/access/environment.h"
#include "transport/base/free_memory.h"
#include "transport/base/units.h"
#include "transport/lanes/lane_session.h"
#include "transport/node_session.h"
#include "transport/reconnecting_fs.h"

namespace bt::app {
namespace {

// How long the first connection may take in all: two API calls with their retries, proxy, SSH, SFTP.
constexpr auto kConnectTimeout = std::chrono::seconds(60);
// How long unwritten bytes may take to reach the server when the mount ends.
constexpr auto kFlushTimeout = std::chrono::seconds(60);
constexpr auto kForcedFlushTimeout = std::chrono::seconds(2);

Backoff::Random RandomFraction() {
  return [engine = std::mt19937_64(std::random_device{}())]() mutable {
    return std::uniform_real_distribution<double>(0.0, 1.0)(engine);
  };
}

// One mounted workspace, from connecting to the last byte.
class MountProcess {
 public:
  MountProcess(MountPlan& plan, Reporter& reporter)
      : plan_(plan), reporter_(reporter), signals_([this](int signal) { OnSignal(signal); }) {}

  Status Run();

 private:
  void OnSignal(int signal);
  Status Serve(RemoteFs& remote, const RemoteRoot& root);
  MountStatus Describe();
  void Stop(bool force);
  void Progress(std::string_view text);
  Status FlushUnwritten(Filesystem& filesystem);

  MountPlan& plan_;
  Reporter& reporter_;

  std::stop_source stop_;               // ends connecting
  std::atomic<bool> connected_{false};  // later dials are the log's business
  Mutex mutex_;
  fuse::Mount* mount_ GUARDED_BY(mutex_) = nullptr;
  Link* link_ GUARDED_BY(mutex_) = nullptr;
  Filesystem* filesystem_ GUARDED_BY(mutex_) = nullptr;
  bool ending_ GUARDED_BY(mutex_) = false;
  bool forced_ GUARDED_BY(mutex_) = false;  // the link may be dead: do not wait long for it

  SignalWatch signals_;  // last: calls OnSignal
};

void MountProcess::OnSignal(int signal) {
  spdlog::info("ending: signal {}", signal);
  Stop(/*force=*/false);
}

void MountProcess::Stop(bool force) {
  stop_.request_stop();
  MutexLock lock(mutex_);
  ending_ = true;
  forced_ = forced_ || force;
  if (mount_ != nullptr) {
    mount_->Stop();
  }
}

void MountProcess::Progress(std::string_view text) {
  spdlog::info("{}", text);
  if (!connected_) {
    reporter_.Progress(text);
  }
}

Status MountProcess::Run() {
  const OpContext ctx = OpContext::WithTimeout(kConnectTimeout, stop_.get_token());
  const access::Environment environment = access::Environment::OfProcess();
  DialerOptions dialer_options = DialerOptions::From(environment);
  dialer_options.api.on_retry = [this](std::string_view text) { Progress(text); };
  auto key_pair = TRY(ChooseKeyPair(environment));
  NodeDialer node(plan_.target, std::move(plan_.credentials), std::move(key_pair), std::move(dialer_options));
  NodeSessionDialer connections(node);
  lanes::LaneOptions lane_options;
  lane_options.connections = plan_.options.connections;
  lanes::LaneSessionDialer dialer(connections, lane_options);

  auto session = TRY(dialer.Dial(ctx));
  const RemoteRoot root = TRY(FindRemoteRoot(ctx, session->fs(), plan_.target.path));
  // "Mounted" shall mean that the files can be listed.
  TRY(session->fs().ReadDirectory(ctx, root.path));

  connected_ = true;
  node.SetApiAttempts(1);  // from here on the link keeper has the only backoff
  Link link(dialer, std::move(session), Link::Options(), RandomFraction());
  ReconnectingFs remote(link);
  {
    MutexLock lock(mutex_);
    link_ = &link;
  }
  Status served = Serve(remote, root);
  MutexLock lock(mutex_);
  link_ = nullptr;
  lock.Unlock();
  return served;
}

Status MountProcess::Serve(RemoteFs& remote, const RemoteRoot& root) {
  FilesystemOptions options = ToFilesystemOptions(plan_);
  options.root = root.path;
  options.remote_uid = root.uid;
  options.remote_gid = root.gid;
  options.reachable = [this] {
    MutexLock lock(mutex_);
    return link_ == nullptr || link_->reachable();
  };
  Filesystem filesystem(remote, options);
  {
    MutexLock lock(mutex_);
    filesystem_ = &filesystem;
  }
  const auto control = ControlSocket::Open({[this] { return Describe(); }, [this](bool force) { Stop(force); }});
  if (!control) {
    spdlog::warn("no status for this mount: {}", bt::Describe(control.error()));
  }

  const std::string source = fmt::format("{}:{}", TargetLabel(plan_.target), root.path.text());
  auto mount = TRY(fuse::Mount::Open(ToFuseOptions(plan_, source), filesystem));
  {
    MutexLock lock(mutex_);
    if (ending_) {
      return Error{Code::kInterrupted, "interrupted before it was mounted", "app.interrupted"};
    }
    mount_ = mount.get();
  }
  filesystem.RefreshInBackground();  // so that free space and the root are known should the link die soon
  const Status served = mount->Run([&] {
    const std::string end = fmt::format("bt-mount unmount {}", plan_.mount_point.string());
    spdlog::info("mounted {} at {}", source, plan_.mount_point.string());
    reporter_.Mounted(fmt::format("Mounted {} at {}\nTo end it: {}{}", source, plan_.mount_point.string(), end,
                                  plan_.log_file.empty() ? "" : fmt::format("\nLog: {}", plan_.log_file.string())));
  });
  {
    MutexLock lock(mutex_);
    mount_ = nullptr;
    ending_ = true;
  }
  mount.reset();
  const Status flushed = FlushUnwritten(filesystem);
  if (control) {
    MountStatus last = Describe();
    last.end_error = flushed ? "" : flushed.error().text;
    (*control)->Finish(std::move(last));
  }
  {
    MutexLock lock(mutex_);
    filesystem_ = nullptr;
  }
  spdlog::info("unmounted {}", plan_.mount_point.string());
  return served.ok() ? flushed : served;
}

MountStatus MountProcess::Describe() {
  const auto seconds = [](Duration duration) { return std::chrono::duration<double>(duration).count(); };
  MountStatus status;
  status.version = BT_VERSION;
  status.pid = ::getpid();
  status.target = TargetLabel(plan_.target);
  status.mount_point = plan_.mount_point.string();
  status.log_file = plan_.log_file.string();
  MutexLock lock(mutex_);
  status.ending = ending_;
  if (link_ != nullptr) {
    const LinkStatus link = link_->status();
    status.link = PhaseName(link.phase);
    status.link_seconds = seconds(link.in_phase);
    status.last_heard_seconds = seconds(link.last_heard);
    status.next_dial_seconds = seconds(link.next_dial);
    status.connections = link.connections;
    status.reconnects = link.reconnects;
    status.containers = link.containers;
    status.last_error = link.last_error;
  }
  if (mount_ != nullptr) {
    const fuse::Mount::Counts counts = mount_->counts();
    status.requests_under_way = counts.waiting;
    status.requests_failed = counts.failed;
  }
  if (filesystem_ != nullptr) {
    status.unwritten_bytes = filesystem_->unwritten_bytes();
    status.unwritten_files = filesystem_->unwritten_files();
    status.lost_writes = filesystem_->lost_writes();
  }
  return status;
}

Status MountProcess::FlushUnwritten(Filesystem& filesystem) {
  const std::uint64_t unwritten = filesystem.unwritten_bytes();
  if (unwritten == 0) {
    return {};
  }
  spdlog::info("sending the last {} before ending", FormatByteSize(unwritten));
  bool forced = false;
  {
    MutexLock lock(mutex_);
    forced = forced_;
  }
  Status flushed = filesystem.FlushAll(OpContext::WithTimeout(forced ? kForcedFlushTimeout : kFlushTimeout));
  if (!flushed) {
    spdlog::error("unwritten data is lost: {}", bt::Describe(flushed.error()));
  }
  return flushed;
}

int Fail(Reporter& reporter, const Error& error) {
  spdlog::error("{}", bt::Describe(error));
  reporter.Failed(error.text);
  return 1;
}

int ServeInThisProcess(MountPlan& plan, Reporter& reporter) {
  ForbidCoreDumps();
  SetUpHeaps();
  ::umask(077);  // for files of our own; what programs make through the mount has their umask
  if (plan.log_file.empty()) {
    LogToTerminal(plan.options.debug);
  } else if (Status logging = LogToFile(plan.log_file, plan.options.debug); !logging) {
    reporter.Failed(logging.error().text);
    return 1;
  }
  for (const std::string& warning : plan.credentials.warnings) {
    reporter.Progress("warning: " + warning);
  }
  MountProcess process(plan, reporter);
  const Status ended = process.Run();
  return ended ? 0 : Fail(reporter, ended.error());
}

}  // namespace

int RunMount(const MountOptions& options) {
  const auto terminal = MakeTerminalReporter();
  auto plan = MakeMountPlan(options);
  if (!plan) {
    terminal->Failed(plan.error().text);
    return 1;
  }
  if (options.foreground) {
    return ServeInThisProcess(*plan, *terminal);
  }
  auto forked = ForkIntoBackground();
  if (!forked) {
    terminal->Failed(forked.error().text);
    return 1;
  }
  if (const int* exit_code = std::get_if<int>(&*forked)) {
    return *exit_code;
  }
  // NOLINTNEXTLINE(concurrency-mt-unsafe): the threads of the mount have ended by then
  std::exit(ServeInThisProcess(*plan, *std::get<std::unique_ptr<Reporter>>(*forked)));
}

}  // namespace bt::app
