// Names: making, removing, renaming, links.
#include <utility>

#include "fs/filesystem.h"
#include "fs/filesystem_state.h"
#include "fs/symlink_text.h"

namespace bt {

Result<Entry> Filesystem::State::EntryOfMade(const OpContext& ctx, InodeNo parent, const Name& name) {
  const TimePoint asked_at = Clock::now();
  const Attributes attributes =
      TRY(OnPath(ctx, parent, [&](const RemotePath& directory) { return remote.Lstat(ctx, directory / name); }));
  const std::shared_ptr<Inode> inode = TRY(Made(parent, name, attributes.mode & S_IFMT));
  inode->Saw(asked_at, attributes);
  return MakeEntry(*inode, attributes, 0);
}

Result<Attributes> Filesystem::State::AddMissingPermissions(const OpContext& ctx, const RemotePath& path,
                                                            RemoteFile* file, Attributes attributes, mode_t asked) {
  const mode_t missing = asked & 0777U & ~attributes.mode;
  if (missing == 0) {
    return attributes;
  }
  AttributeChange change;
  change.permissions = (attributes.mode & 07777U) | missing;
  Status changed = file != nullptr ? file->SetAttributes(ctx, change) : remote.SetAttributes(ctx, path, change);
  if (!changed.ok()) {
    if (changed.error().fate == Fate::kAnswered) {
      return attributes;  // a server that insists on its umask
    }
    return std::move(changed).error();
  }
  attributes.mode |= missing;
  return attributes;
}

Result<std::string> Filesystem::ReadLink(const OpContext& ctx, InodeNo inode) {
  State& state = *state_;
  const InodePin pin = TRY(state.inodes.Pin(inode));
  RemotePath directory;
  const std::string text = TRY(state.OnPath(ctx, inode, [&](const RemotePath& path) {
    directory = path.parent();
    return state.remote.ReadLink(ctx, path);
  }));
  if (state.options.symlinks == SymlinkPolicy::kRaw) {
    return text;
  }
  std::string shown = ShownSymlink(text, directory, state.options.root);
  pin.inode()->SetShownLinkSize(shown.size());
  return shown;
}

Result<Entry> Filesystem::MakeSymlink(const OpContext& ctx, InodeNo parent, std::string_view name,
                                      std::string_view target) {
  State& state = *state_;
  TRY(state.CheckWritable());
  const Name wanted = TRY(state.ParseName(name));
  const std::string_view text = state.options.symlinks == SymlinkPolicy::kContained ? StoredSymlink(target) : target;
  TRY(state.Surely(parent, state.OnPath(ctx, parent, [&](const RemotePath& directory) {
    return state.remote.MakeSymlink(ctx, directory / wanted, text);
  })));
  return state.EntryOfMade(ctx, parent, wanted);
}

Result<Entry> Filesystem::MakeNode(const OpContext& ctx, InodeNo parent, std::string_view name, mode_t mode) {
  State& state = *state_;
  TRY(state.CheckWritable());
  const Name wanted = TRY(state.ParseName(name));
  if ((mode & S_IFMT) != 0 && !S_ISREG(mode)) {
    return Error{Code::kNotPermitted, "SFTP cannot make devices, sockets or named pipes", "fs.mknod"};
  }
  const OpenFlags flags{.write = true, .create = true, .exclusive = true};
  const TimePoint asked_at = Clock::now();
  const auto make_at = [&](const RemotePath& directory) -> Result<Attributes> {
    const RemotePath path = directory / wanted;
    const OpenedFile opened = TRY(state.remote.Open(ctx, path, flags, mode & 07777U));
    return state.AddMissingPermissions(ctx, path, opened.file.get(), opened.attributes, mode);
  };
  const Attributes attributes = TRY(state.Surely(parent, state.OnPath(ctx, parent, make_at)));
  const std::shared_ptr<Inode> inode = TRY(state.Made(parent, wanted, attributes.mode & S_IFMT));
  inode->Saw(asked_at, attributes);
  return state.MakeEntry(*inode, attributes, 0);
}

Result<Entry> Filesystem::MakeDirectory(const OpContext& ctx, InodeNo parent, std::string_view name, mode_t mode) {
  State& state = *state_;
  TRY(state.CheckWritable());
  const Name wanted = TRY(state.ParseName(name));
  // The question must follow the answer: sent together with the request it could be answered for a directory that was
  // there before. So two round trips.
  const TimePoint asked_at = Clock::now();
  const auto make_at = [&](const RemotePath& directory) -> Result<Attributes> {
    const RemotePath path = directory / wanted;
    TRY(state.remote.MakeDirectory(ctx, path, mode & 07777U));
    const Attributes made = TRY(state.remote.Lstat(ctx, path));
    return state.AddMissingPermissions(ctx, path, nullptr, made, mode);
  };
  const Attributes attributes = TRY(state.Surely(parent, state.OnPath(ctx, parent, make_at)));
  const std::shared_ptr<Inode> inode = TRY(state.Made(parent, wanted, attributes.mode & S_IFMT));
  inode->Saw(asked_at, attributes);
  return state.MakeEntry(*inode, attributes, 0);
}

namespace {

// The error of a removal also tells that there is nothing at the name.
bool NothingThere(const Status& removed) { return removed.ok() || removed.error().code == Code::kNotFound; }

}  // namespace

Status Filesystem::Unlink(const OpContext& ctx, InodeNo parent, std::string_view name) {
  State& state = *state_;
  TRY(state.CheckWritable());
  const Name wanted = TRY(state.ParseName(name));
  // An open file goes on by its handle, here and on the server, unwritten bytes included.
  state.NameGoes(ctx, parent, wanted);
  Status removed = state.OnPath(
      ctx, parent, [&](const RemotePath& directory) { return state.remote.RemoveFile(ctx, directory / wanted); });
  if (NothingThere(removed)) {
    state.ForgetSetTimes(parent, wanted);
    state.Gone(parent, wanted);
    return removed;
  }
  return state.Surely(parent, std::move(removed));
}

Status Filesystem::RemoveDirectory(const OpContext& ctx, InodeNo parent, std::string_view name) {
  State& state = *state_;
  TRY(state.CheckWritable());
  const Name wanted = TRY(state.ParseName(name));
  Status removed = state.OnPath(
      ctx, parent, [&](const RemotePath& directory) { return state.remote.RemoveDirectory(ctx, directory / wanted); });
  if (NothingThere(removed)) {
    state.ForgetSetTimes(parent, wanted);
    state.Gone(parent, wanted);
    return removed;
  }
  return state.Surely(parent, std::move(removed));
}

Status Filesystem::State::EndJustClosed(const OpContext& ctx, const OpenFile& file) {
  // Most likely the last that the program does to the file, and its last chance to hear that a change has failed.
  Status changed = writes.Flush(ctx, file);
  just_closed.End(file.inode().number());
  return changed;
}

Status Filesystem::Rename(const OpContext& ctx, InodeNo parent, std::string_view name, InodeNo new_parent,
                          std::string_view new_name, RenameMode mode) {
  State& state = *state_;
  TRY(state.CheckWritable());
  const Name from = TRY(state.ParseName(name));
  const Name to = TRY(state.ParseName(new_name));
  state.NameGoes(ctx, new_parent, to);
  for (;;) {
    const RemotePath from_directory = TRY(state.inodes.PathOf(parent));
    const RemotePath to_directory = TRY(state.inodes.PathOf(new_parent));
    Status renamed;
    {
      const InodeTable::Glimpse moving = state.inodes.Glance(parent, from);
      const bool directory = moving.inode == nullptr || moving.inode->is_directory();
      const Renames::Mark mark(state.renames, from_directory / from, to_directory / to,
                               directory ? Renames::Kind::kDirectory : Renames::Kind::kFile);
      const auto change = state.reads.epochs().Begin({from_directory / from, to_directory / to},
                                                     directory ? PathEpochs::Kind::kTree : PathEpochs::Kind::kFile);
      const std::shared_ptr<OpenFile> closed =
          moving.inode != nullptr ? state.just_closed.Find(moving.inode->number()) : nullptr;
      if (closed != nullptr) {
        state.writes.Hurry(moving.inode->number());
      }
      renamed = state.remote.Rename(ctx, from_directory / from, to_directory / to, mode);
      if (!renamed.ok() && renamed.error().fate == Fate::kUnknown) {
        state.reads.epochs().LeaveInDoubt(change);
      }
      if (renamed.ok()) {
        state.set_times.Moved(from_directory / from, to_directory / to);
        state.Moved(parent, from, new_parent, to);
        return closed != nullptr ? state.EndJustClosed(ctx, *closed) : renamed;
      }
    }
    state.NamesInDoubt(parent, renamed.error());
    state.NamesInDoubt(new_parent, renamed.error());
    if (renamed.error().code != Code::kNotFound ||
        !(TRY(state.Moved(ctx, parent, from_directory)) || TRY(state.Moved(ctx, new_parent, to_directory)))) {
      return renamed;
    }
  }
}

Result<Entry> Filesystem::Link(const OpContext& ctx, InodeNo inode, InodeNo new_parent, std::string_view new_name) {
  State& state = *state_;
  TRY(state.CheckWritable());
  const Name wanted = TRY(state.ParseName(new_name));
  const InodePin pin = TRY(state.inodes.Pin(inode));
  // The new name gets an inode of its own, which does not see what this one has not sent yet.
  TRY(state.writes.Drain(ctx, inode));
  TRY(state.Surely(new_parent, state.OnPath(ctx, inode, [&](const RemotePath& existing) {
    return state.OnPath(ctx, new_parent, [&](const RemotePath& directory) {
      const auto change = state.reads.epochs().Begin({directory / wanted}, PathEpochs::Kind::kFile);
      return state.remote.MakeHardLink(ctx, existing, directory / wanted);
    });
  })));
  Entry made = TRY(state.EntryOfMade(ctx, new_parent, wanted));
  const Result<InodePin> new_pin = state.inodes.Pin(made.inode);
  if (new_pin.ok()) {
    Inode::Link(pin.share(), new_pin->share());
    made.ttl = std::chrono::milliseconds(0);
  }
  return made;
}

Status Filesystem::State::DrainOtherNames(const OpContext& ctx, const Inode& inode) {
  for (const std::shared_ptr<Inode>& other : inode.OtherNames()) {
    TRY(writes.Drain(ctx, other->number()));
  }
  return {};
}

}  // namespace bt
