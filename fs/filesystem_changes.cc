// setattr: what is changed at once, what travels with the writes of an open file, and the nanoseconds of times.
#include <algorithm>
#include <ctime>
#include <utility>

#include "fs/filesystem.h"
#include "fs/filesystem_state.h"

namespace bt {

namespace {

using Request = SetAttributesRequest;

std::int64_t SecondsOf(const Request::Time& time, std::int64_t kept) {
  switch (time.kind) {
    case Request::TimeKind::kOmit:
      return kept;
    case Request::TimeKind::kNow:
      return ClampToWire(std::time(nullptr));
    case Request::TimeKind::kSet:
      return ClampToWire(time.value.tv_sec);
  }
  return kept;
}

// Owner and times travel in pairs: whether one half of a pair must be asked for first.
bool NeedsOtherHalf(const Request& request) {
  return request.uid.has_value() != request.gid.has_value() ||
         (request.atime.kind == Request::TimeKind::kOmit) != (request.mtime.kind == Request::TimeKind::kOmit);
}

AttributeChange ChangeOf(const Request& request, const Attributes& now, const AttributeView& view) {
  AttributeChange change;
  change.size = request.size;
  if (request.permissions) {
    change.permissions = *request.permissions & 07777U;
  }
  if (request.uid || request.gid) {
    change.owner = {.uid = request.uid ? view.RemoteUid(*request.uid) : now.uid,
                    .gid = request.gid ? view.RemoteGid(*request.gid) : now.gid};
  }
  if (request.atime.kind != Request::TimeKind::kOmit || request.mtime.kind != Request::TimeKind::kOmit) {
    change.times = {.atime = SecondsOf(request.atime, now.atime), .mtime = SecondsOf(request.mtime, now.mtime)};
  }
  return change;
}

bool IsOmitted(const Request::Time& time) { return time.kind == Request::TimeKind::kOmit; }

// The whole second that was sent, and the fraction that could not be; none where the time itself could not be said.
struct timespec WithFraction(const Request::Time& time, std::int64_t sent, const struct timespec& before) {
  struct timespec whole {};
  whole.tv_sec = sent;
  if (IsOmitted(time)) {
    whole.tv_nsec = before.tv_sec == sent ? before.tv_nsec : 0;
  } else if (time.kind == Request::TimeKind::kSet && time.value.tv_sec == sent) {
    whole.tv_nsec = time.value.tv_nsec;
  }
  return whole;
}

}  // namespace

void Filesystem::State::RememberSetTimes(const Inode& inode, const Request& request, const AttributeChange& change) {
  const Result<RemotePath> path = inodes.PathOf(inode.number());
  if (!change.times || !path.ok()) {
    return;
  }
  const SetTimes::Times before = set_times.Find(*path).value_or(SetTimes::Times{});
  const SetTimes::Times times{WithFraction(request.atime, change.times->atime, before.atime),
                              WithFraction(request.mtime, change.times->mtime, before.mtime)};
  if (times.atime.tv_nsec == 0 && times.mtime.tv_nsec == 0) {
    set_times.Forget(*path);
  } else {
    set_times.Set(*path, times);
  }
}

std::optional<PathEpochs::Change> Filesystem::State::ChangeContents(const Inode& inode) {
  const Result<RemotePath> path = inodes.PathOf(inode.number());
  if (inode.is_directory() || !path.ok()) {
    return std::nullopt;
  }
  return reads.epochs().Begin({*path}, PathEpochs::Kind::kFile);
}

void Filesystem::State::ForgetSetTimes(const Inode& inode) {
  if (set_times.empty()) {
    return;
  }
  if (const Result<RemotePath> path = inodes.PathOf(inode.number()); path.ok()) {
    set_times.Forget(*path);
  }
}

void Filesystem::State::ForgetSetTimes(InodeNo parent, const Name& name) {
  if (set_times.empty()) {
    return;
  }
  if (const Result<RemotePath> directory = inodes.PathOf(parent); directory.ok()) {
    set_times.Forget(*directory / name);
  }
}

AttributesReply Filesystem::State::ReplyOf(const Inode& inode, const Inode::Sight& sight) const {
  // What was known a moment ago and what was changed since make the answer, for the rest of its life: no round trip.
  return MakeReply(inode, {sight.attributes, sight.asked_at, 0});
}

Result<std::optional<AttributesReply>> Filesystem::State::PromiseChange(const OpContext& ctx, Inode& inode,
                                                                        const Request& request) {
  const std::optional<AttributesReply> by_itself;
  if (request.size || NeedsOtherHalf(request) || (request.permissions.value_or(0) & (S_ISUID | S_ISGID)) != 0) {
    return by_itself;
  }
  std::shared_ptr<OpenFile> file = inode.AnyOpenFile(/*writable=*/true);
  const bool closed = file == nullptr;
  if (closed) {
    file = just_closed.Find(inode.number());
  }
  const std::optional<Inode::Sight> known = inode.LastKnown();
  if (file == nullptr || (!closed && file->closing()) || !known ||
      (known->attributes.mode & (S_ISUID | S_ISGID)) != 0) {
    return by_itself;
  }
  // Only what no server can refuse: the program is told that it is done.
  const AttributeChange change = ChangeOf(request, known->attributes, view);
  const bool as_root = options.remote_uid == 0;
  const bool gives_away =
      change.owner && (change.owner->uid != known->attributes.uid || change.owner->gid != known->attributes.gid);
  if (change.empty() || (known->attributes.uid != options.remote_uid && !as_root) || (gives_away && !as_root)) {
    return by_itself;
  }
  std::shared_ptr<const void> until_done;
  if (change.times) {
    until_done = std::make_shared<std::optional<PathEpochs::Change>>(ChangeContents(inode));
  }
  const std::optional<Inode::Sight> sight = inode.ChangeAccepted(change);
  writes.Change(file, change, std::move(until_done));
  if (closed && (change.permissions || change.owner)) {
    // Who changes the mode of a file that is there expects it to be so for others, too. Times can wait for company.
    TRY(writes.Flush(ctx, *file));
  }
  if (!sight) {
    return by_itself;
  }
  RememberSetTimes(inode, request, change);
  AttributesReply reply = ReplyOf(inode, *sight);
  if (!inode.LastSeen(options.attribute_ttl)) {
    reply.ttl = std::chrono::milliseconds(0);  // the times of what was written are not known yet
  }
  return std::optional(reply);
}

Result<AttributesReply> Filesystem::SetAttributes(const OpContext& ctx, InodeNo inode, const Request& request,
                                                  std::optional<FileHandle> handle) {
  State& state = *state_;
  TRY(state.CheckWritable());
  const InodePin pin = TRY(state.inodes.Pin(inode));
  Inode& target = *pin.inode();
  if (const auto promised = TRY(state.PromiseChange(ctx, target, request))) {
    return *promised;
  }

  // The server's handle where the kernel names one that may do it, or where there is no name any more.
  std::shared_ptr<OpenFile> file = handle ? state.files.Find(*handle) : nullptr;
  if (file != nullptr && request.size && !file->writable()) {
    file = nullptr;
  }
  if (file == nullptr && state.inodes.detached(inode)) {
    file = target.AnyOpenFile(/*writable=*/request.size.has_value());
  }

  TRY(state.DrainOtherNames(ctx, target));
  // Unwritten bytes would undo a truncation, and move the times after they were set; promised changes come first.
  if (request.size || request.atime.kind != Request::TimeKind::kOmit ||
      request.mtime.kind != Request::TimeKind::kOmit || state.writes.HasChanges(inode)) {
    TRY(state.writes.Drain(ctx, inode));
  }
  Attributes now;
  if (NeedsOtherHalf(request)) {
    now = TRY(state.LookAt(ctx, pin.share(), file.get())).attributes;
  }
  const AttributeChange change = ChangeOf(request, now, state.view);
  if (change.empty()) {
    return state.MakeReply(target, TRY(state.LookAt(ctx, pin.share(), file.get())));
  }
  if (change.size) {
    state.ForgetSetTimes(target);
  }

  const std::optional<PathEpochs::Change> times = change.times ? state.ChangeContents(target) : std::nullopt;
  const Status done = file != nullptr ? file->remote().SetAttributes(ctx, change)
                                      : state.OnPath(ctx, inode, [&](const RemotePath& path) {
                                          return state.remote.SetAttributes(ctx, path, change);
                                        });
  if (!done.ok()) {
    if (times && done.error().fate == Fate::kUnknown) {
      state.reads.epochs().LeaveInDoubt(*times);
    }
    target.ChangedSomehow();  // some of it may have been done
    return done.error();
  }
  state.RememberSetTimes(target, request, change);
  if (const auto sight = target.Changed(change, state.options.attribute_ttl)) {
    return state.ReplyOf(target, *sight);
  }
  return state.MakeReply(target, TRY(state.LookAt(ctx, pin.share(), file.get())));
}

}  // namespace bt
