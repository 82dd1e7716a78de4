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
  const DirectoryHandle handle = state_->directories.NewHandle();
  state_->directories.Add(handle, std::make_shared<OpenDir>(std::move(pin)));
  return handle;
}

Status Filesystem::ReadDirectory(const OpContext& ctx, DirectoryHandle handle, off_t offset, bool with_lookups,
                                 DirectorySink& sink) {
  State& state = *state_;
  const std::shared_ptr<OpenDir> open = state.directories.Find(handle);
  if (open == nullptr) {
    return Error{Code::kBadHandle, "not an open directory", "fs.bad-handle"};
  }
  if (offset < 0) {
    return Error{Code::kInvalid, "a negative offset", "fs.bad-offset"};
  }
  const InodeNo directory = open->inode().number();
  std::shared_ptr<const OpenDir::Snapshot> snapshot = offset == 0 ? nullptr : open->snapshot();
  if (snapshot == nullptr) {
    const TimePoint asked_at = Clock::now();
    std::vector<DirEntry> entries = TRY(
        state.OnPath(ctx, directory, [&](const RemotePath& path) { return state.remote.ReadDirectory(ctx, path); }));
    std::erase_if(entries, [&state](const DirEntry& entry) { return state.reserved(entry.name.text()); });
    snapshot = std::make_shared<const OpenDir::Snapshot>(OpenDir::Snapshot{asked_at, std::move(entries)});
    open->SetSnapshot(snapshot);
  }

  // Offsets: 0 is ".", 1 is "..", then the entries; what is passed on is the one to continue from.
  off_t next = offset;
  if (next == 0 &&
      !AddUncounted(sink, with_lookups, ".", TypeAndNumber(S_IFDIR, open->inode().shown_number()), ++next)) {
    return {};
  }
  if (next == 1 && !AddUncounted(sink, with_lookups, "..",
                                 TypeAndNumber(S_IFDIR, state.inodes.ParentShownNumber(directory)), ++next)) {
    return {};
  }
  const auto age = std::chrono::ceil<std::chrono::milliseconds>(Clock::now() - snapshot->asked_at);
  const auto ttl = std::max(state.options.attribute_ttl - age, std::chrono::milliseconds(0));
  for (auto index = static_cast<std::size_t>(next - 2); index < snapshot->entries.size(); ++index) {
    const DirEntry& entry = snapshot->entries[index];
    const mode_t type = entry.attributes.mode & S_IFMT;
    ++next;
    // A name that was taken away from here since the listing must not come back through it, and attributes that were
    // changed from here neither: such entries make the kernel ask.
    std::shared_ptr<Inode> inode;
    if (with_lookups && type != 0 && !state.inodes.LostNamesSince(directory, snapshot->asked_at)) {
      inode = TRY(state.inodes.LookUp(directory, entry.name, type));
      if (inode->ChangedSince(snapshot->asked_at)) {
        state.inodes.Forget(inode->number(), 1);
        inode = nullptr;
      }
    }
    if (inode == nullptr) {
      const struct stat shown = TypeAndNumber(type, state.inodes.ShownNumber(directory, entry.name, type));
      if (!AddUncounted(sink, with_lookups, entry.name.text(), shown, next)) {
        return {};
      }
      continue;
    }
    inode->Saw(snapshot->asked_at, entry.attributes);
    const Entry shown{inode->number(), state.Show(*inode, entry.attributes, 0), ttl};
    if (!sink.AddWithLookup(entry.name.text(), shown, next)) {
      state.inodes.Forget(inode->number(), 1);
      return {};
    }
  }
  return {};
}

void Filesystem::ReleaseDirectory(DirectoryHandle handle) { state_->directories.Remove(handle); }

}  // namespace bt
