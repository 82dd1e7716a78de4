// Open files: open, create, read, write, flush, sync, copy.
#include <fcntl.h>

#include <limits>
#include <utility>

#include "fs/filesystem.h"
#include "fs/filesystem_state.h"
#include "fs/known_file.h"

namespace bt {

namespace {

OpenFlags FlagsOf(int flags) {
  OpenFlags wanted;
  const int mode = flags & O_ACCMODE;
  wanted.read = mode == O_RDONLY || mode == O_RDWR;
  wanted.write = mode == O_WRONLY || mode == O_RDWR;
  wanted.append = wanted.write && (flags & O_APPEND) != 0;
  wanted.truncate = (flags & O_TRUNC) != 0;
  return wanted;
}

// What is sent: truncating is writing, whatever the handle may do afterwards.
OpenFlags OnTheWire(OpenFlags flags) {
  flags.write = flags.write || flags.truncate;
  return flags;
}

// Reads of a file that this mount changed a moment ago go straight to the server, for it is likely to change it again:
// databases and editors read and write in turn.
constexpr std::chrono::seconds kQuiet{1};

Status CheckRange(std::uint64_t offset, std::uint64_t length) {
  constexpr auto kEnd = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());
  if (offset > kEnd || length > kEnd - offset) {
    return Error{Code::kTooBig, "beyond the largest possible file", "fs.too-big"};
  }
  return {};
}

}  // namespace

std::shared_ptr<OpenFile> Filesystem::State::MakeOpenFile(InodePin pin, std::shared_ptr<RemoteFile> remote_file,
                                                          const Attributes& attributes, const OpenFlags& flags,
                                                          TimePoint asked_at, const OpeningPlace& place) {
  const std::shared_ptr<Inode> inode = pin.share();
  std::shared_ptr<FileReader> reader;
  if (flags.read) {
    reader = reads.Open({remote_file, place.path, attributes, asked_at, place.on_server,
                         [inode] { return inode->last_change(); }, place.epoch,
                         [inode](std::int64_t mtime) { inode->PagesOutlived(mtime); }});
  }
  auto file =
      std::make_shared<OpenFile>(files.NewHandle(), std::move(pin), std::move(remote_file), flags, std::move(reader));
  inode->Opened(file);
  files.Add(file->handle(), file);
  return file;
}

OpenReply Filesystem::State::ReplyOf(const OpenFile& file) {
  OpenReply reply{.handle = file.handle(), .keep_cache = false};
  if (file.reader() != nullptr) {
    const FileReader::Version version = file.reader()->version();
    reply.keep_cache = file.inode().MayKeepPages(version);
    reply.newly_changed = !file.inode().WasShown(version.version);
  }
  return reply;
}

FileReader::Known Filesystem::State::WhatIsKnown(const Inode& inode) const {
  FileReader::Known known;
  if (const auto sight = inode.LastAnswer()) {
    known.seen = FileVersion{sight->attributes.size, sight->attributes.mtime};
    known.seen_at = sight->asked_at;
  }
  known.reachable = reachable();
  return known;
}

bool Filesystem::State::Quiet(const Inode& inode) { return !inode.ChangedSince(Clock::now() - kQuiet); }

Result<OpenReply> Filesystem::Open(const OpContext& ctx, InodeNo inode, int flags) {
  State& state = *state_;
  const OpenFlags wanted = FlagsOf(flags);
  if (wanted.write || wanted.truncate) {
    TRY(state.CheckWritable());
  }
  InodePin pin = TRY(state.inodes.Pin(inode));
  const std::shared_ptr<Inode> opened_inode = pin.share();
  if (wanted.read) {
    state.NoteOpened(inode);
  }
  if (wanted.read && !wanted.write && !wanted.truncate && (flags & O_DIRECT) == 0) {
    if (const auto file = state.OpenJustClosed(inode)) {
      return State::ReplyOf(*file);
    }
    if (const auto file = state.OpenKnown(ctx, inode)) {
      return State::ReplyOf(*file);
    }
  }
  // Bytes written before a truncation must not come after it; and the server decides by the mode that it knows.
  if (wanted.truncate || state.writes.HasChanges(inode)) {
    TRY(state.writes.Drain(ctx, inode));
  }
  TRY(state.DrainOtherNames(ctx, *opened_inode));
  if (wanted.truncate) {
    state.ForgetSetTimes(*opened_inode);
  }
  const TimePoint asked_at = Clock::now();
  State::OpeningPlace place;
  OpenedFile opened = TRY(state.OnPath(ctx, inode, [&](const RemotePath& path) {
    place = {.path = path, .epoch = state.reads.epochs().Of(path)};
    return state.remote.Open(ctx, path, OnTheWire(wanted), 0);
  }));
  if (wanted.truncate) {
    opened_inode->ChangedSomehow();
  } else {
    opened_inode->Saw(asked_at, opened.attributes);
  }
  if (wanted.read) {
    opened_inode->OpenedForReading(opened.attributes);
  }
  return State::ReplyOf(
      *state.MakeOpenFile(std::move(pin), std::move(opened.file), opened.attributes, wanted, asked_at, place));
}

std::shared_ptr<OpenFile> Filesystem::State::OpenKnown(const OpContext& ctx, InodeNo number) {
  small_files.Await(ctx, number);
  Result<InodePin> pin = inodes.Pin(number);
  if (!pin.ok() || writes.HasChanges(number)) {
    return nullptr;
  }
  const std::shared_ptr<Inode> inode = pin->share();
  const std::optional<Inode::Sight> sight = SightFromMemory(*inode);
  if (!sight || inode->ChangedSince(sight->asked_at) || !inode->MayBeRead(sight->attributes) ||
      sight->attributes.size > SmallFilesAhead::kSmallFile) {
    return nullptr;
  }
  const Attributes& attributes = sight->attributes;
  std::optional<OpeningPlace> place = PlaceToOpen(number);
  if (!place || !place->epoch) {
    return nullptr;
  }
  place->on_server = false;
  KnownFile::Bytes bytes =
      reads.Contents(place->path, *place->epoch, {attributes.size, attributes.mtime}, sight->asked_at);
  if (bytes == nullptr) {
    return nullptr;
  }
  // Not by OnPath(): what runs in the background may outlive all but the tables of inodes and the way to the server.
  const auto open_now = [this, number](const OpContext& later) -> Result<OpenedFile> {
    const RemotePath now = TRY(inodes.PathOf(number));
    Result<OpenedFile> opened = remote.Open(later, now, OpenFlags{.read = true}, 0);
    if (!opened.ok() && opened.error().code == Code::kNotFound && TRY(inodes.PathOf(number)) != now) {
      return Error{Code::kInterrupted, "the file is being renamed", "fs.renamed-meanwhile"};
    }
    return opened;
  };
  auto file = std::make_unique<KnownFile>(KnownFile::Known{attributes, sight->asked_at, std::move(bytes)}, open_now,
                                          [inode] { return inode->last_change(); });
  return MakeOpenFile(std::move(pin).value(), std::move(file), attributes, OpenFlags{.read = true}, sight->asked_at,
                      *place);
}

std::optional<Filesystem::State::OpeningPlace> Filesystem::State::PlaceToOpen(InodeNo inode) {
  const Result<RemotePath> path = inodes.PathOf(inode);
  if (!path.ok()) {
    return std::nullopt;
  }
  OpeningPlace place{.path = *path, .epoch = reads.epochs().Of(*path)};
  // The file was at this path before its epoch was asked for, and is there afterwards.
  const Result<RemotePath> path_now = inodes.PathOf(inode);
  return path_now.ok() && *path_now == place.path ? std::optional(place) : std::nullopt;
}

std::shared_ptr<OpenFile> Filesystem::State::OpenJustClosed(InodeNo number) {
  const std::shared_ptr<OpenFile> closed = just_closed.Find(number);
  if (closed == nullptr || !closed->readable()) {
    return nullptr;
  }
  Result<InodePin> pin = inodes.Pin(number);
  const std::optional<Inode::Sight> sight = closed->inode().LastSeen(options.attribute_ttl);
  const std::optional<OpeningPlace> place = PlaceToOpen(number);
  if (!pin.ok() || !sight || !place || !closed->inode().MayBeRead(sight->attributes)) {
    return nullptr;
  }
  return MakeOpenFile(std::move(pin).value(), closed->share_remote(), sight->attributes, OpenFlags{.read = true},
                      sight->asked_at, *place);
}

void Filesystem::State::NameGoes(const OpContext& ctx, InodeNo parent, const Name& name) {
  const std::shared_ptr<Inode> inode = inodes.Glance(parent, name).inode;
  if (inode == nullptr) {
    return;
  }
  // Some file systems keep what is open under another name, and the directory is not empty then (NFS).
  just_closed.End(inode->number());
  for (const std::shared_ptr<OpenFile>& file : inode->OpenFiles()) {
    // Without an answer the file goes on with what is known of it.
    static_cast<void>(KnownFile::HandleOf(ctx, file->remote()));
  }
}

Result<CreateReply> Filesystem::Create(const OpContext& ctx, InodeNo parent, std::string_view name, mode_t mode,
                                       int flags) {
  State& state = *state_;
  TRY(state.CheckWritable());
  const Name wanted = TRY(state.ParseName(name));
  const OpenFlags asked = FlagsOf(flags);
  bool made = true;
  State::OpeningPlace place;
  const TimePoint asked_at = Clock::now();
  const auto open_at = [&](const RemotePath& directory) -> Result<OpenedFile> {
    const RemotePath path = directory / wanted;
    place = {.path = path, .epoch = state.reads.epochs().Of(path)};
    // Exclusively at first, also when the program does not care: only so is it known whether the file is new, and whose
    // permissions it has.
    OpenFlags create = OnTheWire(asked);
    create.create = true;
    create.exclusive = true;
    create.truncate = false;
    Result<OpenedFile> file = state.remote.Open(ctx, path, create, mode & 07777U);
    made = file.ok();
    if (made) {
      file->attributes = TRY(state.AddMissingPermissions(ctx, path, file->file.get(), file->attributes, mode));
    } else if ((flags & O_EXCL) == 0 && (file.error().code == Code::kExists || file.error().code == Code::kFailure)) {
      const InodeTable::Glimpse known = state.inodes.Glance(parent, wanted);
      if (known.inode && asked.truncate) {
        TRY(state.writes.Drain(ctx, known.inode->number()));
      }
      create.exclusive = false;
      create.truncate = asked.truncate;
      file = state.remote.Open(ctx, path, create, mode & 07777U);
    }
    return file;
  };
  OpenedFile opened = TRY(state.Surely(parent, state.OnPath(ctx, parent, open_at)));

  const mode_t type = opened.attributes.mode & S_IFMT;
  if (!made) {
    state.listings.Seen(parent, wanted, opened.attributes, asked_at);
  }
  const std::shared_ptr<Inode> inode =
      TRY(made ? state.Made(parent, wanted, type) : state.inodes.LookUp(parent, wanted, type));
  InodePin pin = TRY(state.inodes.Pin(inode->number()));
  if (made || asked.truncate) {
    state.ForgetSetTimes(parent, wanted);
  }
  if (!made && asked.truncate) {
    inode->ChangedSomehow();
  } else {
    inode->Saw(asked_at, opened.attributes);
  }
  if (asked.read) {
    inode->OpenedForReading(opened.attributes);
  }
  const auto file =
      state.MakeOpenFile(std::move(pin), std::move(opened.file), opened.attributes, asked, asked_at, place);
  return CreateReply{state.MakeEntry(*inode, opened.attributes, 0),
                     OpenReply{.handle = file->handle(), .keep_cache = false}};
}

Result<std::size_t> Filesystem::State::ReadBesideWrites(const OpContext& ctx, const OpenFile& file,
                                                        std::uint64_t offset, std::span<std::byte> out) {
  const InodeNo inode = file.inode().number();
  TRY(DrainOtherNames(ctx, file.inode()));
  const std::uint64_t pending_end = writes.PendingEnd(inode);
  TRY(writes.DrainRange(ctx, inode, offset, out.size()));
  std::size_t count = TRY(file.remote().Read(ctx, offset, out));
  if (count < out.size() && pending_end > offset + count) {
    // Not the end of the file but a hole before bytes that the server does not have yet.
    TRY(writes.Drain(ctx, inode));
    count = TRY(file.remote().Read(ctx, offset, out));
  }
  return count;
}

namespace {

void NoteEnd(OpenFile& file, std::uint64_t offset, std::size_t asked, std::size_t count) {
  // The kernel asks for nothing beyond the end that it knows.
  if (count < asked || offset + count == file.reader()->version().version.size) {
    file.ReadToEnd();
  }
}

}  // namespace

Result<std::size_t> Filesystem::Read(const OpContext& ctx, FileHandle handle, std::uint64_t offset,
                                     std::span<std::byte> out) {
  State& state = *state_;
  const std::shared_ptr<OpenFile> file = TRY(state.FindFile(handle));
  if (!file->readable()) {
    return Error{Code::kBadHandle, "not open for reading", "fs.not-readable"};
  }
  const std::size_t count =
      TRY(State::Quiet(file->inode()) ? file->reader()->Read(ctx, state.WhatIsKnown(file->inode()), offset, out)
                                      : state.ReadBesideWrites(ctx, *file, offset, out));
  NoteEnd(*file, offset, out.size(), count);
  return count;
}

std::optional<SharedPieces> Filesystem::ReadFromMemory(FileHandle handle, std::uint64_t offset, std::size_t length) {
  const std::shared_ptr<OpenFile> file = state_->files.Find(handle);
  if (file == nullptr || file->reader() == nullptr || !State::Quiet(file->inode())) {
    return std::nullopt;
  }
  std::optional<SharedPieces> pieces =
      file->reader()->ReadFromMemory(state_->WhatIsKnown(file->inode()), offset, length);
  if (pieces) {
    NoteEnd(*file, offset, length, SizeOf(*pieces));
  }
  return pieces;
}

Status Filesystem::Write(const OpContext& ctx, FileHandle handle, std::uint64_t offset,
                         std::span<const std::byte> bytes) {
  const std::shared_ptr<OpenFile> file = TRY(state_->FindFile(handle));
  if (!file->writable()) {
    return Error{Code::kBadHandle, "not open for writing", "fs.not-writable"};
  }
  TRY(CheckRange(offset, bytes.size()));
  file->SetClosing(false);
  state_->ForgetSetTimes(file->inode());
  return state_->writes.Write(ctx, file, offset, bytes);
}

Status Filesystem::Flush(const OpContext& ctx, FileHandle handle) {
  const std::shared_ptr<OpenFile> file = TRY(state_->FindFile(handle));
  file->SetClosing(true);
  return state_->writes.Flush(ctx, *file);
}

bool Filesystem::Clean(FileHandle handle) {
  const std::shared_ptr<OpenFile> file = state_->files.Find(handle);
  if (file == nullptr || !state_->writes.Clean(handle)) {
    return false;
  }
  file->SetClosing(true);
  // A change may have been promised between the two.
  return state_->writes.Clean(handle);
}

Status Filesystem::Sync(const OpContext& ctx, FileHandle handle) {
  const std::shared_ptr<OpenFile> file = TRY(state_->FindFile(handle));
  TRY(state_->writes.Drain(ctx, file->inode().number()));  // fsync(2) is about the file, not about the handle
  TRY(state_->writes.Flush(ctx, *file));
  Status synced = file->remote().Sync(ctx);
  if (!synced.ok() && synced.error().code == Code::kUnsupported) {
    return {};  // the acknowledgement of every write is the best there is (SEMANTICS.md)
  }
  return synced;
}

void Filesystem::Release(FileHandle handle) {
  std::shared_ptr<OpenFile> file = state_->files.Remove(handle);
  if (file == nullptr) {
    return;
  }
  const bool just_written = file->writable() && !State::Quiet(file->inode()) && state_->writes.Clean(handle);
  if (just_written && state_->options.just_closed_for.count() > 0) {
    file->inode().Closed(file);
    state_->just_closed.Keep(std::move(file));
  } else {
    state_->writes.Released(*file);
  }
}

Result<std::uint64_t> Filesystem::CopyRange(const OpContext& ctx, FileHandle from, std::uint64_t from_offset,
                                            FileHandle to, std::uint64_t to_offset, std::uint64_t length) {
  State& state = *state_;
  const std::shared_ptr<OpenFile> source = TRY(state.FindFile(from));
  const std::shared_ptr<OpenFile> target = TRY(state.FindFile(to));
  if (!source->readable() || !target->writable() || target->append()) {
    return Error{Code::kBadHandle, "not open for this copy", "fs.copy-handle"};
  }
  TRY(CheckRange(from_offset, length));
  TRY(CheckRange(to_offset, length));
  TRY(state.writes.Drain(ctx, source->inode().number()));
  TRY(state.writes.Drain(ctx, target->inode().number()));
  RemoteFile& readable = *TRY(KnownFile::HandleOf(ctx, source->remote()));
  target->inode().ChangedSomehow();
  state.ForgetSetTimes(target->inode());
  Result<std::uint64_t> copied =
      state.remote.CopyRange(ctx, readable, from_offset, target->remote(), to_offset, length);
  target->inode().ChangedSomehow();
  return copied;
}

}  // namespace bt
