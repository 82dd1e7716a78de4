// Listings.
#include <algorithm>
#include <limits>
#include <utility>

#include "fs/filesystem.h"
#include "fs/filesystem_state.h"

namespace bt {

namespace {

// What a listing shows of an entry that nothing else is known of: d_type and d_ino.
struct stat TypeAndNumber(mode_t mode, ino_t number) {
  struct stat shown {};
  shown.st_mode = mode;
  shown.st_ino = number;
  return shown;
}

bool AddUncounted(DirectorySink& sink, bool with_lookups, std::string_view name, const struct stat& shown, off_t next) {
  return with_lookups ? sink.AddWithLookup(name, Entry{InodeNo{0}, shown, std::chrono::milliseconds(0)}, next)
                      : sink.Add(name, shown, next);
}

}  // namespace

Result<DirectoryHandle> Filesystem::OpenDirectory(const OpContext& /*ctx*/, InodeNo inode) {
  InodePin pin = TRY(state_->inodes.Pin(inode));
  if (!pin.inode()->is_directory()) {
    return Error{Code::kNotDirectory, "not a directory", "fs.not-directory"};
  }
  state_->ahead.Visited(inode, WalkWatch::Look::kOpened);
  const DirectoryHandle handle = state_->directories.NewHandle();
  state_->directories.Add(handle, std::make_shared<OpenDir>(std::move(pin)));
  return handle;
}

namespace {

Result<std::shared_ptr<OpenDir>> FindDirectory(const HandleTable<DirectoryHandle, OpenDir>& directories,
                                               DirectoryHandle handle, off_t offset) {
  std::shared_ptr<OpenDir> open = directories.Find(handle);
  if (open == nullptr) {
    return Error{Code::kBadHandle, "not an open directory", "fs.bad-handle"};
  }
  if (offset < 0) {
    return Error{Code::kInvalid, "a negative offset", "fs.bad-offset"};
  }
  return open;
}

// An entry whose attributes were not told, only what it is.
bool OnlyTypeKnown(const Attributes& attributes) { return attributes == Attributes{.mode = attributes.mode & S_IFMT}; }

}  // namespace

Status Filesystem::ReadDirectory(const OpContext& ctx, DirectoryHandle handle, off_t offset, bool with_lookups,
                                 DirectorySink& sink) {
  const std::shared_ptr<OpenDir> open = TRY(FindDirectory(state_->directories, handle, offset));
  std::optional<OpenDir::Snapshot> snapshot = offset == 0 ? std::nullopt : open->snapshot();
  if (!snapshot) {
    snapshot = TRY(state_->TakeSnapshot(ctx, open->inode().number()));
    open->SetSnapshot(snapshot);
  }
  state_->Fill(*open, *snapshot, offset, with_lookups, sink);
  return {};
}

std::optional<Status> Filesystem::ReadKnownDirectory(DirectoryHandle handle, off_t offset, bool with_lookups,
                                                     DirectorySink& sink) {
  const Result<std::shared_ptr<OpenDir>> open = FindDirectory(state_->directories, handle, offset);
  if (!open.ok()) {
    return open.error();
  }
  std::optional<OpenDir::Snapshot> snapshot = offset == 0 ? std::nullopt : (*open)->snapshot();
  if (!snapshot) {
    snapshot = state_->SnapshotFromMemory((*open)->inode().number());
    if (!snapshot) {
      return std::nullopt;
    }
    (*open)->SetSnapshot(snapshot);
  }
  state_->Fill(**open, *snapshot, offset, with_lookups, sink);
  return Status();
}

void Filesystem::State::Fill(const OpenDir& open, const OpenDir::Snapshot& snapshot, off_t offset, bool with_lookups,
                             DirectorySink& sink) {
  const InodeNo directory = open.inode().number();
  // Offsets: 0 is ".", 1 is "..", then the entries; what is passed on is the one to continue from.
  off_t next = offset;
  if (next == 0 &&
      !AddUncounted(sink, with_lookups, ".", TypeAndNumber(S_IFDIR, open.inode().shown_number()), ++next)) {
    return;
  }
  if (next == 1 &&
      !AddUncounted(sink, with_lookups, "..", TypeAndNumber(S_IFDIR, inodes.ParentShownNumber(directory)), ++next)) {
    return;
  }
  const std::vector<DirEntry>& entries = snapshot.listing->entries();
  for (auto index = static_cast<std::size_t>(next - 2); index < entries.size(); ++index) {
    const DirEntry& entry = entries[index];
    const mode_t type = entry.attributes.mode & S_IFMT;
    ++next;
    std::shared_ptr<Inode> inode;
    std::optional<Inode::Sight> sight;
    // A name that was taken away from here since the listing must not come back through it, and attributes that were
    // changed from here, or are too old, neither: such entries make the kernel ask.
    if (with_lookups && type != 0 && !inodes.LostNamesSince(directory, snapshot.taken_at)) {
      const InodeTable::Glimpse known = inodes.Glance(directory, entry.name);
      Result<std::shared_ptr<Inode>> found =
          known.inode != nullptr && known.inode->type() != type
              ? Result<std::shared_ptr<Inode>>(Error{Code::kStale, "of another type now", "fs.type-changed"})
              : inodes.LookUp(directory, entry.name, type);
      if (found.ok()) {
        inode = std::move(found).value();
        if (!OnlyTypeKnown(entry.attributes)) {
          inode->Saw(snapshot.listing->asked_at(), entry.attributes);
        }
        sight = inode->LastSeen(options.attribute_ttl);
        if (!sight) {
          inodes.Forget(inode->number(), 1);
        }
      }
    }
    if (!sight) {
      const struct stat shown = TypeAndNumber(type, inodes.ShownNumber(directory, entry.name, type));
      if (!AddUncounted(sink, with_lookups, entry.name.text(), shown, next)) {
        return;
      }
      continue;
    }
    // The name lives as long as the listing, and the entry as long as both.
    const TimePoint asked_at = std::min(sight->asked_at, snapshot.listing->asked_at());
    const Entry shown = MakeEntry(*inode, sight->attributes, 0, asked_at);
    if (!sink.AddWithLookup(entry.name.text(), shown, next)) {
      inodes.Forget(inode->number(), 1);
      return;
    }
  }
}

void Filesystem::ReleaseDirectory(DirectoryHandle handle) { state_->directories.Remove(handle); }

}  // namespace bt
