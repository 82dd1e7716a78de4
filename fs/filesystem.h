// The filesystem without libfuse: what the kernel may ask, by inode number and handle, answered through a RemoteFs.
// fs/fuse decodes a request, calls one method here and replies; nothing above or below knows FUSE and the server at
// once.
//
// Threading: every method may be called from any thread at any time. Methods that take an OpContext may block until the
// answer, the deadline or the cancellation; the others never wait for the network. No lock is held across a call to the
// RemoteFs.
//
// Lookup counts: every Entry that is returned (also inside Created, and each entry that a DirectorySink accepted with
// its inode) counts one lookup on its inode, given back through Forget(), as the kernel does it (fuse_lowlevel.h,
// forget).
#pragma once

#include <sys/stat.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cache/read_cache.h"
#include "transport/base/op_context.h"
#include "transport/base/result.h"
#include "transport/base/shared_bytes.h"
#include "transport/remote_fs.h"

namespace bt {

enum class InodeNo : std::uint64_t {};
inline constexpr InodeNo kRootInode{1};  // FUSE_ROOT_ID

enum class FileHandle : std::uint64_t {};
enum class DirectoryHandle : std::uint64_t {};

// Absolute symlinks that leave the mounted root must not lead into the user's own machine (SEMANTICS.md).
enum class SymlinkPolicy {
  kContained,  // inside the root: rewritten relative; outside: shown so that following it fails
  kRaw,        // the server's text as it is
};

enum class OwnerMap {
  kUser,    // what the remote user owns is shown as owned by the mounting user, and the other way round
  kServer,  // the server's numbers as they are
};

struct FilesystemOptions {
  RemotePath root;  // what is mounted, canonical
  uid_t uid = 0;    // the mounting user, or -o uid=
  gid_t gid = 0;
  std::uint32_t remote_uid = 0;  // the user that the server runs as
  std::uint32_t remote_gid = 0;
  OwnerMap owner_map = OwnerMap::kUser;
  std::optional<mode_t> umask;  // -o umask=: permission bits taken away from what is shown
  SymlinkPolicy symlinks = SymlinkPolicy::kContained;
  bool read_only = false;
  // How old what is shown of names and attributes may be; 0: nothing is kept. Less than the second in which programs
  // like tail(1) ask again: else every other time they would be told the same.
  std::chrono::milliseconds attribute_ttl{900};
  std::size_t max_cached_entries = 1'000'000;      // of directories, in memory
  std::size_t listing_threads = 4;                 // that list directories ahead of need; 0: only when asked
  ReadCacheOptions reading;                        // `freshness` is attribute_ttl
  std::uint64_t dirty_limit = 64ULL << 20U;        // bytes accepted from programs and not yet acknowledged, whole mount
  unsigned write_threads = 16;                     // writes on their way at the same time
  std::chrono::milliseconds write_timeout{30000};  // without any acknowledgement, before a write is given up; 0: never
  // How long a file that was written and closed is kept open on the server for what programs do to it right after
  // (fs/closed_files.h). Short: meanwhile nobody can execute it there.
  std::chrono::milliseconds just_closed_for{100};
  // Where the nanoseconds of times that programs set outlive the mount (fs/set_times.h); empty: nowhere.
  std::filesystem::path set_times_file;
  // False while the link is down: then what was seen last is shown, however old, where the server would be asked.
  // Called often, from any thread; empty: always reachable.
  std::function<bool()> reachable;
};

struct Entry {
  InodeNo inode{};
  struct stat attributes {};
  std::chrono::milliseconds ttl{0};  // of the name and of the attributes
};

struct AttributesReply {
  struct stat attributes {};
  std::chrono::milliseconds ttl{0};
};

struct OpenReply {
  FileHandle handle{};
  bool keep_cache = false;     // the kernel's cached pages are still those of the file
  bool newly_changed = false;  // the kernel was told another size or time, and cuts what it reads at that size
};

struct CreateReply {
  Entry entry;
  OpenReply open;
};

// What setattr(2) asks for, as FUSE_SETATTR carries it.
struct SetAttributesRequest {
  std::optional<std::uint64_t> size;
  std::optional<mode_t> permissions;  // 07777
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
  enum class TimeKind { kOmit, kNow, kSet };
  struct Time {
    TimeKind kind = TimeKind::kOmit;
    struct timespec value {};
  };
  Time atime;
  Time mtime;
};

// Takes the entries of a listing. An entry given to AddWithLookup with inode 0 carries its type and number only and
// counts no lookup ("." and "..", and what changed since the listing was taken): the kernel asks when it needs more.
class DirectorySink {
 public:
  virtual ~DirectorySink() = default;
  // Both return false when the reply is full: the entry was not taken. `next` is the offset to continue from.
  virtual bool Add(std::string_view name, const struct stat& attributes, off_t next) = 0;
  virtual bool AddWithLookup(std::string_view name, const Entry& entry, off_t next) = 0;
};

// A file with bytes that the server has not acknowledged.
struct UnwrittenFile {
  std::string path;  // on the server; the last one known when the file was removed since
  std::uint64_t bytes = 0;
};

class Filesystem {
 public:
  // `remote` must outlive the filesystem.
  Filesystem(RemoteFs& remote, FilesystemOptions options);
  ~Filesystem();  // closes what is open without waiting for the server; call FlushAll() first
  Filesystem(const Filesystem&) = delete;
  Filesystem& operator=(const Filesystem&) = delete;

  // Names and attributes.
  Result<Entry> Lookup(const OpContext& ctx, InodeNo parent, std::string_view name);  // <= 1 RT
  void Forget(InodeNo inode, std::uint64_t lookups);
  Result<AttributesReply> GetAttributes(const OpContext& ctx, InodeNo inode,
                                        std::optional<FileHandle> handle);  // <= 1 RT
  Result<AttributesReply> SetAttributes(const OpContext& ctx, InodeNo inode, const SetAttributesRequest& request,
                                        std::optional<FileHandle> handle);
  // access(2) by mode bits: `mask` is R_OK | W_OK | X_OK or F_OK.
  Status Access(const OpContext& ctx, InodeNo inode, int mask, uid_t uid, gid_t gid);
  // Of the mounted directory, at most a few seconds old. Zeros when the server cannot tell.
  Result<FsStats> StatFs(const OpContext& ctx);
  // What memory can answer with, without waiting. Free space once it is known (an old answer is refreshed in the
  // background); entries, attributes and listings while they are at most attribute_ttl old. df(1) and file managers
  // must not hang on a dead link: while it is down all of these are told however old they are, and the attributes of
  // the root also when the caller knows that asking `takes_long`.
  std::optional<FsStats> KnownStats();
  std::optional<Entry> KnownEntry(InodeNo parent, std::string_view name);  // inode 0: nothing there, for `ttl`
  std::optional<AttributesReply> KnownAttributes(InodeNo inode, bool takes_long);
  // Asks for free space and the root's attributes, so that memory has them. Does not wait.
  void RefreshInBackground();

  // The tree.
  Result<std::string> ReadLink(const OpContext& ctx, InodeNo inode);
  Result<Entry> MakeSymlink(const OpContext& ctx, InodeNo parent, std::string_view name, std::string_view target);
  Result<Entry> MakeNode(const OpContext& ctx, InodeNo parent, std::string_view name, mode_t mode);  // regular only
  Result<Entry> MakeDirectory(const OpContext& ctx, InodeNo parent, std::string_view name, mode_t mode);
  Status Unlink(const OpContext& ctx, InodeNo parent, std::string_view name);
  Status RemoveDirectory(const OpContext& ctx, InodeNo parent, std::string_view name);
  Status Rename(const OpContext& ctx, InodeNo parent, std::string_view name, InodeNo new_parent,
                std::string_view new_name, RenameMode mode);
  Result<Entry> Link(const OpContext& ctx, InodeNo inode, InodeNo new_parent, std::string_view new_name);

  // Files. `flags` are open(2)'s O_ bits.
  Result<OpenReply> Open(const OpContext& ctx, InodeNo inode, int flags);
  Result<CreateReply> Create(const OpContext& ctx, InodeNo parent, std::string_view name, mode_t mode, int flags);
  // Bytes read; fewer than asked only at the end of the file.
  Result<std::size_t> Read(const OpContext& ctx, FileHandle handle, std::uint64_t offset, std::span<std::byte> out);
  // The same when memory has the bytes, without a copy; nothing otherwise. Never waits.
  std::optional<SharedPieces> ReadFromMemory(FileHandle handle, std::uint64_t offset, std::size_t length);
  // Accepts all bytes or none. The server's answer comes with a later Write, Flush or Sync of the handle.
  Status Write(const OpContext& ctx, FileHandle handle, std::uint64_t offset, std::span<const std::byte> bytes);
  // close(2): every write of the handle acknowledged by the server, and its first error reported, once. The deadline
  // counts from the last acknowledgement, so that a slow link is not a dead one. An interrupted flush loses nothing.
  Status Flush(const OpContext& ctx, FileHandle handle);
  // Whether there is nothing to flush, asked because the handle is being closed. Never waits: closing a file that was
  // only read must not hang on a dead link.
  bool Clean(FileHandle handle);
  // fsync(2): every write of the file acknowledged, then fsync on the server where it is offered.
  Status Sync(const OpContext& ctx, FileHandle handle);
  // What is unwritten goes on being written; then the server's handle is closed.
  void Release(FileHandle handle);
  Result<std::uint64_t> CopyRange(const OpContext& ctx, FileHandle from, std::uint64_t from_offset, FileHandle to,
                                  std::uint64_t to_offset, std::uint64_t length);

  // Directories. A handle lists one snapshot, at most attribute_ttl old when it is first read, and another one after a
  // rewind to offset 0.
  Result<DirectoryHandle> OpenDirectory(const OpContext& ctx, InodeNo inode);
  Status ReadDirectory(const OpContext& ctx, DirectoryHandle handle, off_t offset, bool with_lookups,
                       DirectorySink& sink);
  // The same from memory, without waiting; nothing where it cannot.
  std::optional<Status> ReadKnownDirectory(DirectoryHandle handle, off_t offset, bool with_lookups,
                                           DirectorySink& sink);
  void ReleaseDirectory(DirectoryHandle handle);

  // Sends and awaits every unwritten byte of the mount; the first error. Before unmounting. What was read is confirmed
  // on disk as well, if that takes no more than a moment.
  Status FlushAll(const OpContext& ctx);
  std::uint64_t unwritten_bytes() const;
  std::vector<UnwrittenFile> unwritten_files() const;
  // Failed writes that no write, flush or sync has reported, because the file was closed by then.
  std::uint64_t lost_writes() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bt
