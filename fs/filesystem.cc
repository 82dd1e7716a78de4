#include "fs/filesystem.h"

#include <algorithm>
#include <utility>

#include "fs/filesystem_state.h"
#include "fs/symlink_text.h"
#include "transport/base/thread_name.h"

namespace bt {

namespace {

ReadCacheOptions ReadingOptions(const FilesystemOptions& options) {
  ReadCacheOptions reading = options.reading;
  reading.freshness = options.attribute_ttl;
  return reading;
}

// tail(1) and its like ask for the size once a second and show what came since: what they are told must not be another
// second old.
constexpr std::chrono::milliseconds kFollowedLifetime{100};
constexpr std::chrono::seconds kStatsLifetime{5};  // programs that show free space ask in a loop
constexpr std::chrono::seconds kRefreshPatience{30};
constexpr std::chrono::seconds kConfirmPatience{2};

}  // namespace

Filesystem::Filesystem(RemoteFs& remote, FilesystemOptions options)
    : state_(std::make_unique<State>(remote, std::move(options))) {}

Filesystem::~Filesystem() = default;

Filesystem::State::State(RemoteFs& remote_fs, FilesystemOptions filesystem_options)
    : remote(remote_fs),
      options(std::move(filesystem_options)),
      view(options),
      inodes(options.root),
      reads(ReadingOptions(options)),
      set_times(options.set_times_file),
      listings(DirectoryCacheOptions{.lifetime = options.attribute_ttl, .max_entries = options.max_cached_entries}),
      tree_order(TreeOrder::Tree{
          .listing =
              [this](InodeNo directory) { return listings.Known(directory, Clock::now(), DirectoryCache::Age::kAny); },
          .place = [this](InodeNo directory) { return inodes.PlaceOf(directory); },
          .subdirectory = [this](InodeNo parent, const Name& name) -> std::optional<InodeNo> {
            const InodeTable::Glimpse known = inodes.Glance(parent, name);
            return known.inode != nullptr ? std::optional(known.inode->number()) : std::nullopt;
          }}),
      writes(inodes, WriteBufferOptions{.dirty_limit = options.dirty_limit,
                                        .threads = options.write_threads,
                                        .write_timeout = options.write_timeout}),
      just_closed(options.just_closed_for, [this](OpenFile& file) { writes.Released(file); }),
      refresher([this](const std::stop_token& stop) { Refresh(stop); }),
      ahead(remote, inodes, renames, listings,
            ListingAhead::Options{
                .threads = options.attribute_ttl.count() > 0 ? options.listing_threads : 0,
                .reachable = options.reachable,
                .left_out = [this](const Name& name) { return reserved(name.text()); },
            }),
      small_files(remote, inodes, renames, reads, options.reachable) {}

bool Filesystem::State::reserved(std::string_view name) const {
  return options.symlinks == SymlinkPolicy::kContained && name == kOutsideName;
}

Result<Name> Filesystem::State::ParseName(std::string_view text) const {
  if (reserved(text)) {
    return Error{Code::kPermissionDenied,
                 "the symbolic link leads out of the mounted directory and is not followed (see --symlinks)",
                 "fs.symlink-outside"};
  }
  return Name::Parse(text);
}

Status Filesystem::State::CheckWritable() const {
  if (options.read_only) {
    return Error{Code::kReadOnly, "the mount is read-only", "fs.read-only"};
  }
  return {};
}

Result<std::shared_ptr<OpenFile>> Filesystem::State::FindFile(FileHandle handle) const {
  std::shared_ptr<OpenFile> file = files.Find(handle);
  if (file == nullptr) {
    return Error{Code::kBadHandle, "not an open file", "fs.bad-handle"};
  }
  return file;
}

Result<std::shared_ptr<Inode>> Filesystem::State::FindInode(InodeNo number) { return TRY(inodes.Pin(number)).share(); }

Result<bool> Filesystem::State::Moved(const OpContext& ctx, InodeNo inode, const RemotePath& path) {
  TRY(renames.AwaitNone(ctx, path));
  return TRY(inodes.PathOf(inode)) != path;
}

struct stat Filesystem::State::Show(const Inode& inode, Attributes attributes, std::uint64_t pending_end) const {
  if (S_ISREG(inode.type())) {
    // Two readings of what is unwritten, one from before the server was asked and one from now: bytes that were
    // acknowledged in between may be missing from its answer.
    attributes.size = std::max({attributes.size, pending_end, writes.PendingEnd(inode.number())});
  } else if (S_ISLNK(inode.type())) {
    attributes.size = inode.shown_link_size().value_or(attributes.size);
  }
  inode.Shown({attributes.size, attributes.mtime});
  struct stat shown = view.Show(attributes, inode.shown_number(), inodes.detached(inode.number()) ? 0 : 1);
  shown.st_mtim.tv_nsec = shown.st_ctim.tv_nsec = inode.outlived_pages(shown.st_mtim.tv_sec);
  if (!set_times.empty()) {
    const Result<RemotePath> path = inodes.PathOf(inode.number());
    const std::optional<SetTimes::Times> set = path.ok() ? set_times.Find(*path) : std::nullopt;
    if (set && set->atime.tv_sec == shown.st_atim.tv_sec) {
      shown.st_atim.tv_nsec = set->atime.tv_nsec;
    }
    if (set && set->mtime.tv_sec == shown.st_mtim.tv_sec) {
      shown.st_mtim.tv_nsec = shown.st_ctim.tv_nsec = set->mtime.tv_nsec;
    }
  }
  return shown;
}

Entry Filesystem::State::MakeEntry(const Inode& inode, const Attributes& attributes, std::uint64_t pending_end,
                                   std::optional<TimePoint> asked_at) const {
  return Entry{inode.number(), Show(inode, attributes, pending_end), TtlOf(inode, asked_at.value_or(Clock::now()))};
}

std::chrono::milliseconds Filesystem::State::AttributeLifetime(const Inode& inode) const {
  return inode.Followed() ? std::min(kFollowedLifetime, options.attribute_ttl) : options.attribute_ttl;
}

std::chrono::milliseconds Filesystem::State::TtlOf(const Inode& inode, TimePoint asked_at) const {
  if (inode.linked()) {
    return std::chrono::milliseconds(0);  // what is changed through another name, the kernel takes for another file's
  }
  const auto age = std::chrono::ceil<std::chrono::milliseconds>(Clock::now() - asked_at);
  return std::max(AttributeLifetime(inode) - age, std::chrono::milliseconds(0));
}

AttributesReply Filesystem::State::MakeReply(const Inode& inode, const Look& look) const {
  return AttributesReply{Show(inode, look.attributes, look.pending_end), TtlOf(inode, look.asked_at)};
}

void Filesystem::Forget(InodeNo inode, std::uint64_t lookups) { state_->inodes.Forget(inode, lookups); }

void Filesystem::State::Refresh(const std::stop_token& stop) {
  SetThreadName("bt-refresh");
  bool time_learned = false;
  for (;;) {
    {
      MutexLock lock(stats_mutex);
      while (!refresh_due && !stop.stop_requested()) {
        stats_wanted.Wait(stats_mutex, OpContext{TimePoint::max(), stop});
      }
      if (stop.stop_requested()) {
        return;
      }
      refresh_due = false;
    }
    const OpContext ctx = OpContext::WithTimeout(kRefreshPatience, stop);
    const TimePoint asked_at = Clock::now();
    const Result<FsStats> stats = remote.StatFs(ctx, options.root);
    const Result<Attributes> root = remote.Lstat(ctx, options.root);
    if (!std::exchange(time_learned, true)) {
      reads.clock().Ask(ctx, remote);
    }
    MutexLock lock(stats_mutex);
    if (stats.ok() || stats.error().code == Code::kUnsupported) {
      known_stats = KnownStats{stats.ok() ? *stats : FsStats{}, asked_at};
    }
    if (root.ok()) {
      known_root = *root;
    }
  }
}

void Filesystem::RefreshInBackground() {
  MutexLock lock(state_->stats_mutex);
  state_->refresh_due = true;
  state_->stats_wanted.NotifyAll();
}

std::optional<FsStats> Filesystem::KnownStats() {
  MutexLock lock(state_->stats_mutex);
  if (!state_->known_stats) {
    return std::nullopt;
  }
  if (Clock::now() - state_->known_stats->asked_at >= kStatsLifetime && !state_->refresh_due) {
    state_->refresh_due = true;
    state_->stats_wanted.NotifyAll();
  }
  return state_->known_stats->stats;
}

Result<FsStats> Filesystem::StatFs(const OpContext& ctx) {
  {
    MutexLock lock(state_->stats_mutex);
    if (state_->known_stats && Clock::now() - state_->known_stats->asked_at < kStatsLifetime) {
      return state_->known_stats->stats;
    }
  }
  const TimePoint asked_at = Clock::now();
  Result<FsStats> answer = state_->remote.StatFs(ctx, state_->options.root);
  if (!answer.ok() && answer.error().code == Code::kUnsupported) {
    // Programs take a failing statfs for a broken mount; zeros say "unknown" to df and to installers alike.
    answer = FsStats{};
  }
  const FsStats stats = TRY(std::move(answer));
  MutexLock lock(state_->stats_mutex);
  state_->known_stats = State::KnownStats{stats, asked_at};
  return stats;
}

Status Filesystem::FlushAll(const OpContext& ctx) {
  Status flushed = state_->writes.FlushAll(ctx);
  state_->reads.Finish(OpContext{std::min(ctx.deadline, Clock::now() + kConfirmPatience), ctx.cancel});
  return flushed;
}

std::uint64_t Filesystem::unwritten_bytes() const { return state_->writes.unwritten_bytes(); }

std::vector<UnwrittenFile> Filesystem::unwritten_files() const { return state_->writes.unwritten_files(); }

std::uint64_t Filesystem::lost_writes() const { return state_->writes.lost_writes(); }

}  // namespace bt
