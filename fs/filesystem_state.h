// What the parts of Filesystem share: its tables, and the few steps that most operations are made of.
#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>

#include "fs/attribute_view.h"
#include "fs/closed_files.h"
#include "fs/directory_cache.h"
#include "fs/filesystem.h"
#include "fs/handle_table.h"
#include "fs/inode_table.h"
#include "fs/listing_ahead.h"
#include "fs/open_dir.h"
#include "fs/open_file.h"
#include "fs/read_order.h"
#include "fs/renames.h"
#include "fs/set_times.h"
#include "fs/small_files_ahead.h"
#include "fs/tree_order.h"
#include "fs/write_buffer.h"

namespace bt {

struct Filesystem::State {
  State(RemoteFs& remote_fs, FilesystemOptions filesystem_options);

  // A name that may be looked for or made: kPermissionDenied for the one that outside symlinks are shown below.
  Result<Name> ParseName(std::string_view text) const;
  bool reserved(std::string_view name) const;
  Status CheckWritable() const;  // kReadOnly
  Result<std::shared_ptr<OpenFile>> FindFile(FileHandle handle) const;
  Result<std::shared_ptr<Inode>> FindInode(InodeNo number);

  // Runs `operation(path of inode)`. A "not found" that came from the path changing meanwhile is not believed: the
  // operation runs again with the new one.
  template <typename Operation>
  auto OnPath(const OpContext& ctx, InodeNo inode, Operation operation)
      -> std::invoke_result_t<Operation, const RemotePath&> {
    for (;;) {
      const RemotePath path = TRY(inodes.PathOf(inode));
      auto result = operation(path);
      if (result.ok() || result.error().code != Code::kNotFound || !TRY(Moved(ctx, inode, path))) {
        return result;
      }
    }
  }
  // The same for a question whose whole answer must be of this directory: none is believed that came while the path was
  // being renamed, whatever it says.
  template <typename Question>
  auto AskOnPath(const OpContext& ctx, InodeNo directory, Question question)
      -> std::invoke_result_t<Question, const RemotePath&> {
    for (;;) {
      const Renames::Moment before = renames.Now();
      const RemotePath path = TRY(inodes.PathOf(directory));
      auto answer = question(path);
      if (!renames.Touched(path, before)) {
        return answer;
      }
      TRY(renames.AwaitNone(ctx, path));
    }
  }
  // Whether the inode is not at `path` any more, once every rename that is on its way has ended.
  Result<bool> Moved(const OpContext& ctx, InodeNo inode, const RemotePath& path);

  // The server's attributes now, by `file` or else by path, or through any open handle when the name is gone. 1 RT
  struct Look {
    Attributes attributes;
    TimePoint asked_at;
    std::uint64_t pending_end = 0;  // of our own writes when the server was asked
  };
  Result<Look> LookAt(const OpContext& ctx, const std::shared_ptr<Inode>& inode, const OpenFile* file);

  // For what memory can answer as well, when it is `known`: a link that has just died is not seen as dead yet, so that
  // nothing tells a question to it from others but that no answer comes. kTimedOut after a moment of that, if nothing
  // at all is heard of the link any more; a slow link is waited for.
  template <typename Ask>
  auto AskPatiently(const OpContext& ctx, bool known, Ask ask) -> std::invoke_result_t<Ask, const OpContext&> {
    if (known && options.reachable) {
      const OpContext soon{std::min(ctx.deadline, Clock::now() + kPatience), ctx.cancel};
      auto answer = ask(soon);
      if (answer.ok() || answer.error().code != Code::kTimedOut || !reachable()) {
        return answer;
      }
    }
    return ask(ctx);
  }
  static constexpr auto kPatience = std::chrono::milliseconds(1100);  // a little more than the link keeper's

  // What is shown: the server's word plus our own unwritten bytes.
  struct stat Show(const Inode& inode, Attributes attributes, std::uint64_t pending_end) const;
  // `asked_at`: when the attributes were, if not just now.
  Entry MakeEntry(const Inode& inode, const Attributes& attributes, std::uint64_t pending_end,
                  std::optional<TimePoint> asked_at = {}) const;
  // How old the attributes of the file may be when they are shown, and for how long those may be that were asked for
  // then.
  std::chrono::milliseconds AttributeLifetime(const Inode& inode) const;
  std::chrono::milliseconds TtlOf(const Inode& inode, TimePoint asked_at) const;
  AttributesReply MakeReply(const Inode& inode, const Look& look) const;

  // Where a file is opened, its epoch before that, and whether the server was asked.
  struct OpeningPlace {
    RemotePath path;
    std::optional<PathEpochs::Epoch> epoch;
    bool on_server = true;
  };
  // Makes `file` readable through the cache, when `flags` allow reading. It showed `attributes` when it was asked after
  // `asked_at`.
  std::shared_ptr<OpenFile> MakeOpenFile(InodePin pin, std::shared_ptr<RemoteFile> file, const Attributes& attributes,
                                         const OpenFlags& flags, TimePoint asked_at, const OpeningPlace& place);
  static OpenReply ReplyOf(const OpenFile& file);
  // Opens for reading without asking the server, when memory or disk have all of the file and the server is known to
  // let it be read; else null. Waits only for a fetch of the file that is on its way. 0 RT
  std::shared_ptr<OpenFile> OpenKnown(const OpContext& ctx, InodeNo number);
  // The same through the handle of a file that was written here and closed a moment ago. 0 RT
  std::shared_ptr<OpenFile> OpenJustClosed(InodeNo number);
  // The path of the inode as it was and is for as long as its epoch counts; nothing while it changes.
  std::optional<OpeningPlace> PlaceToOpen(InodeNo inode);
  // A name is about to be taken from the file from here: open files that the server does not know of are opened there
  // now, since they could not be later, and one that was just closed is closed there. 0 RT when there are none.
  void NameGoes(const OpContext& ctx, InodeNo parent, const Name& name);
  FileReader::Known WhatIsKnown(const Inode& inode) const;
  // Whether reads may go through the cache: not while this mount writes the file, since each write is a new version.
  static bool Quiet(const Inode& inode);
  // Past the cache: the server's bytes, once it has what was written here into the range.
  Result<std::size_t> ReadBesideWrites(const OpContext& ctx, const OpenFile& file, std::uint64_t offset,
                                       std::span<std::byte> out);
  // The answer to a lookup by what listings tell; inode 0: there is nothing. Counts a lookup. Nothing where memory
  // cannot tell. With Age::kAny what was once known to be there is told, however old.
  std::optional<Entry> EntryFromMemory(InodeNo parent, const Name& name, DirectoryCache::Age age);
  // The server's word on the name, and on those that are likely to be looked up next. 1 RT
  Result<Attributes> LookUpAlong(const OpContext& ctx, InodeNo parent, const Name& name);
  // Attributes of less than their lifetime.
  std::optional<Inode::Sight> SightFromMemory(Inode& inode);
  std::optional<OpenDir::Snapshot> SnapshotFromMemory(InodeNo directory);
  Result<OpenDir::Snapshot> TakeSnapshot(const OpContext& ctx, InodeNo directory);
  void Fill(const OpenDir& open, const OpenDir::Snapshot& snapshot, off_t offset, bool with_lookups,
            DirectorySink& sink);

  // A file was opened for reading: whoever reads ahead is told when files are read one after the other.
  void NoteOpened(InodeNo inode);

  // What was written through other names of the file is on the server afterwards.
  Status DrainOtherNames(const OpContext& ctx, const Inode& inode);

  // The server has carried out a change of names; these keep memory in step. Called after its answer.
  Result<std::shared_ptr<Inode>> Made(InodeNo parent, const Name& name, mode_t type);
  void Gone(InodeNo parent, const Name& name);
  void Moved(InodeNo parent, const Name& name, InodeNo new_parent, const Name& new_name);
  // It has failed, and some of it may have been done.
  void NamesInDoubt(InodeNo directory, const Error& error);
  template <typename Outcome>
  Outcome Surely(InodeNo directory, Outcome outcome) {
    if (!outcome.ok()) {
      NamesInDoubt(directory, outcome.error());
    }
    return outcome;
  }
  AttributesReply ReplyOf(const Inode& inode, const Inode::Sight& sight) const;
  // A change of a file that is open for writing travels with its writes: the answer to the program, 0 RT. So do times
  // that are set the moment after it was closed; mode and owner take them along, 1 RT. Nothing when this change must be
  // made by itself.
  Result<std::optional<AttributesReply>> PromiseChange(const OpContext& ctx, Inode& inode,
                                                       const SetAttributesRequest& request);

  // The file was renamed: what was changed of it since it was closed is done, and it is closed on the server, too.
  Status EndJustClosed(const OpContext& ctx, const OpenFile& file);

  // The times of the file are to be set from here: what was read of it may look like another version, and the other
  // way round. Until this is dropped, nobody takes one for the other; nor afterwards.
  std::optional<PathEpochs::Change> ChangeContents(const Inode& inode);
  // The nanoseconds of times that were set here (set_times.h).
  void RememberSetTimes(const Inode& inode, const SetAttributesRequest& request, const AttributeChange& change);
  void ForgetSetTimes(const Inode& inode);
  void ForgetSetTimes(InodeNo parent, const Name& name);  // nothing is there, or something new

  // Asks for what was just made at the name and makes its inode. 1 RT
  Result<Entry> EntryOfMade(const OpContext& ctx, InodeNo parent, const Name& name);
  // Gives a new file or directory the permissions that were asked for when the server's umask took some away. 0 or 1 RT
  Result<Attributes> AddMissingPermissions(const OpContext& ctx, const RemotePath& path, RemoteFile* file,
                                           Attributes attributes, mode_t asked);

  RemoteFs& remote;
  const FilesystemOptions options;
  const AttributeView view;

  InodeTable inodes;
  ReadCache reads;
  Renames renames;
  SetTimes set_times;
  HandleTable<FileHandle, OpenFile> files;
  HandleTable<DirectoryHandle, OpenDir> directories;

  struct KnownStats {
    FsStats stats;
    TimePoint asked_at;
  };
  // What is answered from memory whatever the link does, and the thread that keeps it fresh.
  bool reachable() const { return !options.reachable || options.reachable(); }
  void Refresh(const std::stop_token& stop);
  Mutex stats_mutex;
  CondVar stats_wanted;
  bool refresh_due GUARDED_BY(stats_mutex) = false;
  std::optional<KnownStats> known_stats GUARDED_BY(stats_mutex);
  std::optional<Attributes> known_root GUARDED_BY(stats_mutex);

  DirectoryCache listings;
  ReadOrder read_order{ReadOrder::Kinds::kRegularFiles, 64};  // of files being opened
  ReadOrder lookup_order{ReadOrder::Kinds::kAll, 256};        // of names that memory does not know
  TreeOrder tree_order;                                       // of directories in which files are opened
  WriteBuffer writes;                                         // its threads use the rest
  ClosedFiles just_closed;                                    // and so does its thread
  std::jthread refresher;                                     // it uses the rest, too
  ListingAhead ahead;                                         // and so do its threads
  SmallFilesAhead small_files;
};

}  // namespace bt
