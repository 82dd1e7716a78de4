#include "transport/reconnecting_fs.h"

#include <algorithm>

#include <fmt/format.h>

#include "transport/reconnecting_file.h"

namespace bt {
namespace {

// An operation that is sent again after a look said "not done" may meet its own first execution, which the old
// connection's server still had in its pipe. These answers then mean "look once more", not failure.
bool MayBeOurOwnDoing(Operation operation, Code code) {
  switch (operation) {
    case Operation::kRemoveFile:
    case Operation::kRemoveDirectory:
    case Operation::kRename:
    case Operation::kRenameNoReplace:
      return code == Code::kNotFound || code == Code::kExists;
    case Operation::kMakeDirectory:
    case Operation::kMakeSymlink:
    case Operation::kMakeHardLink:
    case Operation::kCreateExclusive:
      return code == Code::kExists;
    default:
      return false;
  }
}

Error UnknownOutcome(Operation operation) {
  return Error{Code::kFailure,
               fmt::format("the link was lost during {} and the server's side does not tell whether it was done",
                           OperationName(operation)),
               "reconnect.unknown-outcome", Fate::kUnknown};
}

}  // namespace

class ReconnectingFs::MoveUnderWay {
 public:
  MoveUnderWay(ReconnectingFs& fs, const RemotePath& from, const RemotePath& to) : fs_(fs) {
    MutexLock lock(fs_.mutex_);
    place_ = fs_.moves_.insert(fs_.moves_.end(), Move{from, to});
  }
  ~MoveUnderWay() {
    MutexLock lock(fs_.mutex_);
    fs_.moves_.erase(place_);
    fs_.rename_ended_.NotifyAll();
  }
  MoveUnderWay(const MoveUnderWay&) = delete;
  MoveUnderWay& operator=(const MoveUnderWay&) = delete;

 private:
  ReconnectingFs& fs_;
  std::list<Move>::iterator place_;
};

template <typename Call>
auto ReconnectingFs::Repeat(const OpContext& ctx, Operation operation, Call call)
    -> decltype(call(std::declval<RemoteFs&>())) {
  const Link::Request under_way(link_);
  for (Losses losses;;) {
    const Connection connection = TRY(Acquire(ctx));
    const auto ask = [&] { return call(connection.session->fs()); };
    auto result = ChangesServer(operation) ? connection.Change(ask) : ask();
    if (result.ok() ||
        (losses.Decide(operation, result.error()) == Verdict::kGiveUp && !ReasonWasLost(connection, result.error()))) {
      return result;
    }
    link_.ReportLost(connection.generation, result.error());
  }
}

Status ReconnectingFs::Mutate(const OpContext& ctx, Operation operation,
                              const std::function<Status(const Connection&)>& call, const Look& look) {
  bool sent_before = false;
  std::uint64_t container = 0;
  for (Losses losses;;) {
    std::optional<Link::Request> under_way(std::in_place, link_);
    const Connection connection = TRY(Acquire(ctx));
    if (sent_before && container != connection.container) {
      return Error{Code::kStale, "another container answers now; whether the old one did this is not known",
                   "reconnect.container", Fate::kUnknown};
    }
    container = connection.container;
    Status status = connection.Change([&] { return call(connection); });
    if (status) {
      return status;
    }
    under_way.reset();  // looking counts itself
    const Verdict verdict =
        ReasonWasLost(connection, status.error()) ? Verdict::kRetry : losses.Decide(operation, status.error());
    const bool own_doing = sent_before && MayBeOurOwnDoing(operation, status.error().code);
    if (verdict == Verdict::kGiveUp && !own_doing) {
      return status;
    }
    if (verdict != Verdict::kGiveUp) {
      link_.ReportLost(connection.generation, status.error());
    }
    if (verdict == Verdict::kRetry) {
      continue;
    }
    switch (TRY(look())) {
      case Outcome::kDone:
        return {};
      case Outcome::kNotDone:
        if (own_doing) {
          return status;
        }
        sent_before = true;
        continue;
      case Outcome::kCannotTell:
        return UnknownOutcome(operation);
    }
  }
}

Result<std::optional<Attributes>> ReconnectingFs::LookAt(const OpContext& ctx, const RemotePath& path) {
  auto attributes = Lstat(ctx, path);
  if (attributes) {
    return std::optional<Attributes>(*attributes);
  }
  if (attributes.error().code == Code::kNotFound) {
    return std::optional<Attributes>();
  }
  return std::move(attributes).error();
}

Result<Attributes> ReconnectingFs::Lstat(const OpContext& ctx, const RemotePath& path) {
  return Repeat(ctx, Operation::kLstat, [&](RemoteFs& fs) { return fs.Lstat(ctx, path); });
}

Result<Attributes> ReconnectingFs::Stat(const OpContext& ctx, const RemotePath& path) {
  return Repeat(ctx, Operation::kStat, [&](RemoteFs& fs) { return fs.Stat(ctx, path); });
}

Status ReconnectingFs::SetAttributes(const OpContext& ctx, const RemotePath& path, const AttributeChange& change) {
  Announce(path, Changing(change));
  Status changed =
      Repeat(ctx, Operation::kSetAttributes, [&](RemoteFs& fs) { return fs.SetAttributes(ctx, path, change); });
  if (changed && change.size) {
    Announce(path, [&](FileIdentity& identity) { identity.OnResized(*change.size); });
  }
  return changed;
}

Result<std::vector<DirEntry>> ReconnectingFs::ReadDirectory(const OpContext& ctx, const RemotePath& path) {
  // A listing that was cut is begun anew: the caller sees one whole snapshot or an error.
  return Repeat(ctx, Operation::kReadDirectory, [&](RemoteFs& fs) { return fs.ReadDirectory(ctx, path); });
}

Status ReconnectingFs::ReadDirectories(const OpContext& ctx, std::span<const DirectoryQuery> queries,
                                       std::size_t max_entries, const Listed& listed) {
  // What was answered before a loss is answered once more, and newer.
  return Repeat(ctx, Operation::kReadDirectory,
                [&](RemoteFs& fs) { return fs.ReadDirectories(ctx, queries, max_entries, listed); });
}

Status ReconnectingFs::LstatMany(const OpContext& ctx, std::span<const RemotePath> paths, const Seen& seen) {
  return Repeat(ctx, Operation::kLstat, [&](RemoteFs& fs) { return fs.LstatMany(ctx, paths, seen); });
}

Result<std::string> ReconnectingFs::ReadLink(const OpContext& ctx, const RemotePath& path) {
  return Repeat(ctx, Operation::kReadLink, [&](RemoteFs& fs) { return fs.ReadLink(ctx, path); });
}

Result<FsStats> ReconnectingFs::StatFs(const OpContext& ctx, const RemotePath& path) {
  return Repeat(ctx, Operation::kStatFs, [&](RemoteFs& fs) { return fs.StatFs(ctx, path); });
}

Result<RemotePath> ReconnectingFs::RealPath(const OpContext& ctx, std::string_view text) {
  return Repeat(ctx, Operation::kRealPath, [&](RemoteFs& fs) { return fs.RealPath(ctx, text); });
}

Status ReconnectingFs::MakeSymlink(const OpContext& ctx, const RemotePath& path, std::string_view target) {
  return Mutate(
      ctx, Operation::kMakeSymlink, [&](const Connection& c) { return c.session->fs().MakeSymlink(ctx, path, target); },
      [&]() -> Result<Outcome> {
        const auto there = TRY(LookAt(ctx, path));
        if (!there) {
          return Outcome::kNotDone;
        }
        if (!there->is_symlink()) {
          return Outcome::kCannotTell;
        }
        return TRY(ReadLink(ctx, path)) == target ? Outcome::kDone : Outcome::kCannotTell;
      });
}

Status ReconnectingFs::MakeDirectory(const OpContext& ctx, const RemotePath& path, std::uint32_t permissions) {
  return Mutate(
      ctx, Operation::kMakeDirectory,
      [&](const Connection& c) { return c.session->fs().MakeDirectory(ctx, path, permissions); },
      [&]() -> Result<Outcome> {
        const auto there = TRY(LookAt(ctx, path));
        if (!there) {
          return Outcome::kNotDone;
        }
        // The kernel asked only because the name was free; an empty directory there is taken for ours.
        if (!there->is_directory()) {
          return Outcome::kCannotTell;
        }
        return TRY(ReadDirectory(ctx, path)).empty() ? Outcome::kDone : Outcome::kCannotTell;
      });
}

Status ReconnectingFs::RemoveFile(const OpContext& ctx, const RemotePath& path) {
  Status removed = Mutate(
      ctx, Operation::kRemoveFile, [&](const Connection& c) { return c.session->fs().RemoveFile(ctx, path); },
      [&]() -> Result<Outcome> { return TRY(LookAt(ctx, path)) ? Outcome::kNotDone : Outcome::kDone; });
  if (removed) {
    PathRemoved(path);
  }
  return removed;
}

Status ReconnectingFs::RemoveDirectory(const OpContext& ctx, const RemotePath& path) {
  return Mutate(
      ctx, Operation::kRemoveDirectory, [&](const Connection& c) { return c.session->fs().RemoveDirectory(ctx, path); },
      [&]() -> Result<Outcome> { return TRY(LookAt(ctx, path)) ? Outcome::kNotDone : Outcome::kDone; });
}

Status ReconnectingFs::Rename(const OpContext& ctx, const RemotePath& from, const RemotePath& to, RenameMode mode) {
  const Operation operation = mode == RenameMode::kReplace ? Operation::kRename : Operation::kRenameNoReplace;
  const MoveUnderWay under_way(*this, from, to);
  Status renamed = Mutate(
      ctx, operation, [&](const Connection& c) { return c.session->fs().Rename(ctx, from, to, mode); },
      [&]() -> Result<Outcome> {
        if (TRY(LookAt(ctx, from))) {
          return Outcome::kNotDone;
        }
        return TRY(LookAt(ctx, to)) ? Outcome::kDone : Outcome::kCannotTell;
      });
  if (renamed) {
    PathsMoved(from, to);
  }
  return renamed;
}

Status ReconnectingFs::MakeHardLink(const OpContext& ctx, const RemotePath& existing, const RemotePath& path) {
  return Mutate(
      ctx, Operation::kMakeHardLink,
      [&](const Connection& c) { return c.session->fs().MakeHardLink(ctx, existing, path); },
      [&]() -> Result<Outcome> {
        const auto there = TRY(LookAt(ctx, path));
        if (!there) {
          return Outcome::kNotDone;
        }
        const auto original = TRY(LookAt(ctx, existing));
        return original && *original == *there ? Outcome::kDone : Outcome::kCannotTell;
      });
}

RemoteCapabilities ReconnectingFs::capabilities() const { return link_.capabilities(); }

Result<Connection> ReconnectingFs::Acquire(const OpContext& ctx) {
  Connection connection = TRY(link_.Acquire(ctx));
  if (latest_generation_.load() < connection.generation) {
    latest_generation_.store(connection.generation);
    std::vector<ReconnectingFile::Handle> old;  // let go without the lock
    MutexLock lock(mutex_);
    for (ReconnectingFile* file : files_) {
      old.push_back(file->TakeOlderThan(connection.generation));
    }
    lock.Unlock();
  }
  return connection;
}

Status ReconnectingFs::AwaitRenames(const OpContext& ctx, const ReconnectingFile& file) {
  MutexLock lock(mutex_);
  for (;;) {
    const RemotePath path = file.path();
    const bool moving = std::any_of(moves_.begin(), moves_.end(),
                                    [&path](const Move& move) { return move.from.Contains(path) || move.to == path; });
    if (!moving) {
      return {};
    }
    TRY(ctx.Check());
    rename_ended_.Wait(mutex_, ctx);
  }
}

void ReconnectingFs::Add(ReconnectingFile* file) {
  MutexLock lock(mutex_);
  files_.push_back(file);
}

void ReconnectingFs::Remove(ReconnectingFile* file) {
  MutexLock lock(mutex_);
  std::erase(files_, file);
}

void ReconnectingFs::PathsMoved(const RemotePath& from, const RemotePath& to) {
  MutexLock lock(mutex_);
  for (ReconnectingFile* file : files_) {
    file->Moved(from, to);
  }
}

void ReconnectingFs::PathRemoved(const RemotePath& path) {
  MutexLock lock(mutex_);
  for (ReconnectingFile* file : files_) {
    if (file->path() == path) {
      file->Unlinked();
    }
  }
}

void ReconnectingFs::Announce(ReconnectingFile& origin, const Tell& tell) { AnnounceTo(origin.path(), &origin, tell); }

void ReconnectingFs::AnnounceTo(const RemotePath& path, const ReconnectingFile* origin, const Tell& tell) {
  ++announcements_;
  MutexLock lock(mutex_);
  for (ReconnectingFile* file : files_) {
    if (file == origin || file->At(path)) {
      tell(file->identity());
    }
  }
}

ReconnectingFs::Tell ReconnectingFs::Changing(const AttributeChange& change) {
  return [size = change.size, times = change.times.has_value()](FileIdentity& identity) {
    if (size) {
      identity.OnResize(*size);
    } else if (times) {
      identity.OnTouch();
    }
  };
}

}  // namespace bt
