// Lookup, getattr, access.
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "fs/filesystem.h"
#include "fs/filesystem_state.h"

namespace bt {

namespace {

constexpr std::chrono::seconds kRootPatience{1};

}  // namespace

Result<Entry> Filesystem::Lookup(const OpContext& ctx, InodeNo parent, std::string_view name) {
  State& state = *state_;
  const Name wanted = TRY(state.ParseName(name));
  if (const auto known = state.EntryFromMemory(parent, wanted, DirectoryCache::Age::kFresh)) {
    if (known->inode == InodeNo{0}) {
      return Error{Code::kNotFound, "the directory's listing does not have it", "fs.not-listed"};
    }
    return *known;
  }
  state.ahead.Missed(parent);
  const InodeTable::Glimpse before = state.inodes.Glance(parent, wanted);
  if (before.inode != nullptr) {
    TRY(state.DrainOtherNames(ctx, *before.inode));
  }
  const std::uint64_t pending_end = before.inode ? state.writes.PendingEnd(before.inode->number()) : 0;
  TimePoint asked_at{};
  const bool known = before.inode != nullptr && before.inode->LastKnown();
  const Result<Attributes> found = state.AskPatiently(ctx, known, [&](const OpContext& question) {
    asked_at = Clock::now();
    return state.LookUpAlong(question, parent, wanted);
  });
  if (!found.ok()) {
    if (found.error().code == Code::kTimedOut) {
      if (auto from_memory = KnownEntry(parent, name)) {
        return *std::move(from_memory);
      }
    }
    if (found.error().code == Code::kNotFound) {
      state.inodes.GoneUnlessSeenSince(parent, wanted, before);
    }
    return found.error();
  }
  const std::shared_ptr<Inode> inode = TRY(state.inodes.LookUp(parent, wanted, found->mode & S_IFMT));
  inode->Saw(asked_at, *found);
  Attributes attributes = *found;
  inode->ApplyPromised(asked_at, attributes);
  return state.MakeEntry(*inode, attributes, pending_end, asked_at);
}

Result<Filesystem::State::Look> Filesystem::State::LookAt(const OpContext& ctx, const std::shared_ptr<Inode>& inode,
                                                          const OpenFile* file) {
  TRY(DrainOtherNames(ctx, *inode));
  Look look;
  look.pending_end = writes.PendingEnd(inode->number());
  look.asked_at = Clock::now();
  Result<Attributes> answer =
      file != nullptr ? file->remote().Stat(ctx)
                      : OnPath(ctx, inode->number(), [&](const RemotePath& path) { return remote.Lstat(ctx, path); });
  const bool other_type = answer.ok() && (answer->mode & S_IFMT) != inode->type();
  const bool gone = !answer.ok() && file == nullptr &&
                    (answer.error().code == Code::kNotFound || answer.error().code == Code::kStale);
  if (other_type) {
    answer = Error{Code::kStale, "the file was replaced by one of another type", "fs.type-changed"};
  }
  if (other_type || gone) {
    // Someone on the server took the name away: an open file goes on without it.
    if (other_type) {
      inodes.Detach(inode->number());
    }
    const std::shared_ptr<OpenFile> open = inode->AnyOpenFile(/*writable=*/false);
    if (open != nullptr) {
      answer = open->remote().Stat(ctx);
    }
  }
  look.attributes = TRY(std::move(answer));
  inode->ApplyPromised(look.asked_at, look.attributes);
  inode->Saw(look.asked_at, look.attributes);
  if (inode->number() == kRootInode) {
    MutexLock lock(stats_mutex);
    known_root = look.attributes;
  }
  return look;
}

Result<AttributesReply> Filesystem::GetAttributes(const OpContext& ctx, InodeNo inode,
                                                  std::optional<FileHandle> handle) {
  State& state = *state_;
  const InodePin pin = TRY(state.inodes.Pin(inode));
  if (const auto sight = state.SightFromMemory(*pin.inode())) {
    return state.ReplyOf(*pin.inode(), *sight);
  }
  const std::shared_ptr<OpenFile> file = handle ? state.files.Find(*handle) : nullptr;
  if (inode != kRootInode) {
    // What came back behind the last write of a file is known without asking again.
    const auto sight = pin.inode()->SeenBehindWrite(state.AttributeLifetime(*pin.inode()));
    if (sight && !state.inodes.detached(inode)) {
      return state.ReplyOf(*pin.inode(), *sight);
    }
    Result<State::Look> look =
        state.AskPatiently(ctx, pin.inode()->LastKnown().has_value(),
                           [&](const OpContext& question) { return state.LookAt(question, pin.share(), file.get()); });
    if (!look.ok() && look.error().code == Code::kTimedOut) {
      if (auto from_memory = KnownAttributes(inode, /*takes_long=*/true)) {
        return *std::move(from_memory);
      }
    }
    return state.MakeReply(*pin.inode(), TRY(std::move(look)));
  }
  // Everybody looks at the root of a mount: it is not worth a long wait.
  const OpContext soon{std::min(ctx.deadline, Clock::now() + kRootPatience), ctx.cancel};
  Result<State::Look> look = state.LookAt(soon, pin.share(), nullptr);
  if (!look.ok() && look.error().code != Code::kInterrupted) {
    if (const auto known = KnownAttributes(inode, /*takes_long=*/true)) {
      return *known;
    }
    if (look.error().code == Code::kTimedOut) {
      look = state.LookAt(ctx, pin.share(), nullptr);
    }
  }
  return state.MakeReply(*pin.inode(), TRY(std::move(look)));
}

std::optional<AttributesReply> Filesystem::KnownAttributes(InodeNo inode, bool takes_long) {
  State& state = *state_;
  const bool root = inode == kRootInode;
  const Result<InodePin> pin = state.inodes.Pin(inode);
  if (!pin.ok()) {
    return std::nullopt;
  }
  if (const auto sight = state.SightFromMemory(*pin->inode())) {
    return state.ReplyOf(*pin->inode(), *sight);
  }
  if ((!root || !takes_long) && state.reachable()) {
    return std::nullopt;
  }
  std::optional<Attributes> known;
  if (const auto sight = pin->inode()->LastKnown()) {
    known = sight->attributes;
  } else if (root) {
    MutexLock lock(state.stats_mutex);
    known = state.known_root;
  }
  if (!known) {
    return std::nullopt;
  }
  return AttributesReply{state.Show(*pin->inode(), *known, 0), state.options.attribute_ttl};
}

std::optional<Entry> Filesystem::KnownEntry(InodeNo parent, std::string_view name) {
  State& state = *state_;
  const Result<Name> wanted = state.ParseName(name);
  if (!wanted.ok()) {
    return std::nullopt;
  }
  state.ahead.Visited(parent, WalkWatch::Look::kLookedUp);
  if (auto known = state.EntryFromMemory(parent, *wanted, DirectoryCache::Age::kFresh)) {
    return known;
  }
  return state.reachable() ? std::nullopt : state.EntryFromMemory(parent, *wanted, DirectoryCache::Age::kAny);
}

Status Filesystem::Access(const OpContext& ctx, InodeNo inode, int mask, uid_t uid, gid_t gid) {
  State& state = *state_;
  const InodePin pin = TRY(state.inodes.Pin(inode));
  const std::optional<Inode::Sight> sight = state.SightFromMemory(*pin.inode());
  if (!sight) {
    if (const auto known = state.reachable() ? std::nullopt : pin.inode()->LastKnown()) {
      return state.view.Access(known->attributes, mask, uid, gid);
    }
  }
  const Attributes attributes = sight ? sight->attributes : TRY(state.LookAt(ctx, pin.share(), nullptr)).attributes;
  return state.view.Access(attributes, mask, uid, gid);
}

}  // namespace bt
