// What the parts of Filesystem share: its tables, and the few steps that most operations are made of.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>

#include "fs/attribute_view.h"
#include "fs/filesystem.h"
#include "fs/handle_table.h"
#include "fs/inode_table.h"
#include "fs/open_dir.h"
#include "fs/open_file.h"
#include "fs/renames_in_flight.h"
#include "fs/set_times.h"
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
  // Whether the inode is not at `path` any more, once every rename that is on its way has ended.
  Result<bool> Moved(const OpContext& ctx, InodeNo inode, const RemotePath& path);

  // The server's attributes now, by `file` or else by path, or through any open handle when the name is gone. 1 RT
  struct Look {
    Attributes attributes;
    std::uint64_t pending_end = 0;  // of our own writes when the server was asked
  };
  Result<Look> LookAt(const OpContext& ctx, const std::shared_ptr<Inode>& inode, const OpenFile* file);

  // What is shown: the server's word plus our own unwritten bytes.
  struct stat Show(const Inode& inode, Attributes attributes, std::uint64_t pending_end) const;
  Entry MakeEntry(const Inode& inode, const Attributes& attributes, std::uint64_t pending_end) const;
  AttributesReply MakeReply(const Inode& inode, const Look& look) const;

  AttributesReply ReplyOf(const Inode& inode, const Inode::Sight& sight) const;
  // A change of a file that is open for writing travels with its writes: the answer to the program, 0 RT. Nothing when
  // this change must be made, and answered for, by itself.
  std::optional<AttributesReply> PromiseChange(Inode& inode, const SetAttributesRequest& request);

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
  RenamesInFlight renames;
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

  WriteBuffer writes;      // its threads use the rest
  std::jthread refresher;  // last: it uses the rest, too
};

}  // namespace bt
