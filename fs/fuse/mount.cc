#include "fs/fuse/mount.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <string_view>
#include <utility>

#include "fs/fuse/call.h"
#include "fs/fuse/device_loop.h"
#include "fs/fuse/init_answer.h"
#include "fs/fuse/interrupt.h"
#include "fs/fuse/libfuse.h"
#include "fs/fuse/library_log.h"
#include "fs/fuse/mount_point.h"
#include "fs/fuse/operation_pool.h"
#include "fs/fuse/ops.h"
#include "fs/fuse/reply.h"

namespace bt::fuse {
namespace {

constexpr unsigned kMaxWrite = 1U << 20U;  // the most that 256 pages hold
// The default of 12 would throttle read-ahead on a link where every answer takes long.
constexpr unsigned kMaxBackground = 128;
constexpr unsigned kCongestion = kMaxBackground / 4 * 3;

// Not wanted, each for its reason:
//  * WRITEBACK_CACHE: the kernel would hide size and time changes made on the server.
//  * CACHE_SYMLINKS: the kernel keeps a target until told otherwise, whatever mtime says, and "latest -> step-200" is
//    replaced all the time. For a later day, with invalidation.
//  * ASYNC_DIO: the kernel then waits for O_DIRECT reads and writes without sending interrupts, even after kill -9.
//  * SPLICE_*: the data is in our memory anyway.
//  * EXPORT_SUPPORT: inode numbers do not outlive the mount.
//  * HANDLE_KILLPRIV: the kernel strips set-uid bits through setattr, and the server has the last word.
//  * POSIX_LOCKS, FLOCK_LOCKS: SFTP has none; the kernel keeps locks within this mount.
constexpr auto kWanted =
    static_cast<unsigned>(FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_ATOMIC_O_TRUNC |
                          FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO
#ifdef FUSE_CAP_NO_EXPORT_SUPPORT
                          | FUSE_CAP_NO_EXPORT_SUPPORT
#endif
    );

struct SessionCloser {
  void operator()(fuse_session* session) const { fuse_session_destroy(session); }
};

// A word may hold commas; libfuse takes a backslash before them.
std::string Escaped(std::string_view word) {
  std::string out;
  for (const char c : word) {
    if (c == ',' || c == '\\') {
      out += '\\';
    }
    out += c;
  }
  return out;
}

std::string OptionWords(const MountOptions& options) {
  std::string words = std::string("nosuid,nodev,noatime,subtype=") + kSubtype;
  const auto add = [&words](std::string_view word) { words += "," + Escaped(word); };
  if (!options.fsname.empty()) {
    add("fsname=" + options.fsname);
  }
  if (options.read_only) {
    add("ro");
  }
  if (options.allow_other) {
    add("allow_other");
  }
  if (options.default_permissions) {
    add("default_permissions");
  }
  for (const std::string& word : options.kernel_words) {
    add(word);
  }
  return words;
}

Status CheckSystem(const MountOptions& options) {
  TRY(CheckDevice());
  if (::geteuid() != 0) {
    TRY(CheckFusermount());
  }
  if (options.allow_other) {
    TRY(CheckAllowOther(::geteuid()));
  }
  return {};
}

Error LibraryError(Code code, std::string what, const char* tag) {
  const std::string reason = LastLibraryMessage();
  return Error{code, reason.empty() ? std::move(what) : what + ": " + reason, tag};
}

}  // namespace

class Mount::State {
 public:
  State(MountOptions given, Filesystem& fs)
      : options(std::move(given)),
        pool({options.max_threads, std::max<std::size_t>(options.max_threads / 4 * 3, 1), options.thread_idle}),
        border{fs, pool, interrupts, counters, options.timeout, options.negative_ttl, &initialised} {}
  ~State() { End(); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  Status Attach();

  // Every request answered first: an answer needs the session, and the descriptor that unmounting closes.
  void End() {
    interrupts.InterruptAll();
    pool.Stop();
    if (std::exchange(mounted, false)) {
      fuse_session_unmount(session.get());
    }
  }

  MountOptions options;
  ReplyCounters counters;
  InterruptRegistry interrupts;
  OperationPool pool;
  std::atomic<bool> initialised{false};
  Border border;
  std::unique_ptr<fuse_session, SessionCloser> session;
  bool mounted = false;
  std::unique_ptr<DeviceLoop> loop;
};

namespace {

void Init(void* user_data, fuse_conn_info* connection) {
  connection->want = connection->capable & kWanted;
  connection->max_write = kMaxWrite;
  connection->max_background = kMaxBackground;
  connection->congestion_threshold = kCongestion;
  auto& border = *static_cast<Border*>(user_data);
  border.init_answer_due = (connection->capable & FUSE_CAP_PARALLEL_DIROPS) != 0;
  border.initialised->store(true);
}

}  // namespace

Status Mount::State::Attach() {
  TakeLibraryLog();
  std::string name = "bt-mount";
  std::string flag = "-o";
  std::string words = OptionWords(options);
  std::array<char*, 3> argv{name.data(), flag.data(), words.data()};
  fuse_args arguments = FUSE_ARGS_INIT(static_cast<int>(argv.size()), argv.data());
  fuse_lowlevel_ops ops = AllOperations();
  ops.init = Init;
  LastLibraryMessage();
  session.reset(fuse_session_new(&arguments, &ops, sizeof ops, &border));
  fuse_opt_free_args(&arguments);
  if (session == nullptr) {
    return LibraryError(Code::kConfig, "the mount options are not understood", "mount.options");
  }
  if (fuse_session_mount(session.get(), options.mount_point.c_str()) != 0) {
    return LibraryError(Code::kConfig, "cannot mount at " + options.mount_point.string(), "mount.failed");
  }
  mounted = true;
  border.session = session.get();
  TRY(AllowParallelLookups(session.get()));
  loop = TRY(DeviceLoop::Open(session.get()));
  return {};
}

Mount::Mount(std::unique_ptr<State> state) : state_(std::move(state)) {}

Mount::~Mount() = default;

Result<std::unique_ptr<Mount>> Mount::Open(MountOptions options, Filesystem& fs) {
  TRY(CheckSystem(options));
  options.mount_point = TRY(PrepareMountPoint(options.mount_point, options.nonempty));
  auto state = std::make_unique<State>(std::move(options), fs);
  TRY(state->Attach());
  return std::unique_ptr<Mount>(new Mount(std::move(state)));
}

Status Mount::Run(const std::function<void()>& on_ready) {
  const auto initialised = [this] { return state_->initialised.load(); };
  Status ended = state_->loop->ServeUntil(initialised);
  if (ended.ok() && initialised()) {
    ended = state_->loop->Serve(state_->options.reader_threads, on_ready);
  } else if (ended.ok() && fuse_session_exited(state_->session.get()) != 0) {
    ended = LibraryError(Code::kInternal, "the mount ended before it began", "mount.init");
  }
  state_->End();
  return ended;
}

void Mount::Stop() noexcept { state_->loop->Stop(); }

const std::filesystem::path& Mount::mount_point() const { return state_->options.mount_point; }

Mount::Counts Mount::counts() const {
  const ReplyCounters& counters = state_->counters;
  Counts counts;
  counts.succeeded = counters.succeeded.load();
  counts.failed = counters.failed.load();
  counts.interrupted = counters.interrupted.load();
  counts.forgotten = counters.forgotten.load();
  counts.waiting = state_->interrupts.size();
  counts.queued = state_->pool.queued_count();
  counts.threads = state_->pool.thread_count();
  return counts;
}

}  // namespace bt::fuse
