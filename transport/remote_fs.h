// THE interface between the filesystem and the way to the server. Implemented by SftpFs (one SFTP session), decorated
// by what reconnects, and faked in memory for tests; tests/contract runs the same suite on each.
//
// Threading: every method may be called from any thread at any time, except that a RemoteFile must outlive the calls
// made on it. Every call blocks until its answer, ctx.deadline or ctx.cancel, whichever is first. Nothing is retried at
// this level. Budgets in round trips (RT) are part of the contract; tests count them.
//
// Errors: kNotFound is only ever the server's word. Fate says whether a failed request may have been executed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "transport/attributes.h"
#include "transport/base/op_context.h"
#include "transport/base/result.h"
#include "transport/remote_path.h"

namespace bt {

// An open regular file. Closing happens in the destructor, without waiting for the server (0 RT).
class RemoteFile {
 public:
  virtual ~RemoteFile() = default;

  // Fills `out` from `offset`; returns the bytes read. Fewer than asked means end of file, and nothing else ever does.
  // Split into as many requests as the server's limits ask for, all in flight at once: 1 RT.
  virtual Result<std::size_t> Read(const OpContext& ctx, std::uint64_t offset, std::span<std::byte> out) = 0;

  // Writes all of `bytes` at `offset`, also on a file opened with append (the server ignores the offset then). 1 RT.
  // After an error any part of `bytes` may have been written.
  virtual Status Write(const OpContext& ctx, std::uint64_t offset, std::span<const std::byte> bytes) = 0;

  // Write(), then `change` if it is not empty, then a look at the file: in 1 RT where the server is known to take the
  // requests of a channel in order, else one after the other. The answer is what the file is then; nothing when the
  // look was refused. An error is that of the first part that failed; the later ones may have been done all the same.
  // The default does it by the calls above and below.
  virtual Result<std::optional<Attributes>> WriteAndChange(const OpContext& ctx, std::uint64_t offset,
                                                           std::span<const std::byte> bytes,
                                                           const AttributeChange& change);

  virtual Result<Attributes> Stat(const OpContext& ctx) = 0;                              // 1 RT
  virtual Status SetAttributes(const OpContext& ctx, const AttributeChange& change) = 0;  // 1 RT
  // On stable storage. kUnsupported when the server has no fsync@openssh.com. 1 RT
  virtual Status Sync(const OpContext& ctx) = 0;
};

struct OpenFlags {
  bool read = false;
  bool write = false;
  bool append = false;  // the server places each write at the end
  bool create = false;
  bool exclusive = false;  // with create: kExists when there is anything at the path, a dangling symlink too
  bool truncate = false;
};

struct OpenedFile {
  std::unique_ptr<RemoteFile> file;
  Attributes attributes;  // as of the moment just after opening
};

enum class RenameMode {
  kReplace,    // atomically replaces what is at the target, as rename(2)
  kNoReplace,  // kExists when there is anything at the target
};

// What the server offers; known once connected, constant for the connection.
struct RemoteCapabilities {
  bool posix_rename = false;
  bool hardlink = false;
  bool fsync = false;
  bool statvfs = false;
  bool lsetstat = false;
  bool copy_data = false;
  std::size_t max_read = 32768;   // bytes of one request
  std::size_t max_write = 32768;  // bytes of one request
  std::uint64_t max_handles = 0;  // 0: not told
};

// One directory of many that are listed at once.
struct DirectoryQuery {
  RemotePath path;
  std::size_t expected_entries = 0;  // when known, so that the right number of requests travels at once
};

struct DirectoryListing {
  std::vector<DirEntry> entries;        // as ReadDirectory()
  std::optional<Attributes> directory;  // its own, where the server told them
};

class RemoteFs {
 public:
  virtual ~RemoteFs() = default;

  virtual Result<Attributes> Lstat(const OpContext& ctx, const RemotePath& path) = 0;  // 1 RT
  virtual Result<Attributes> Stat(const OpContext& ctx, const RemotePath& path) = 0;   // follows symlinks, 1 RT

  // Symlinks themselves are changed, never followed (lsetstat@openssh.com; kUnsupported on a symlink without it). 1 RT
  virtual Status SetAttributes(const OpContext& ctx, const RemotePath& path, const AttributeChange& change) = 0;

  // All entries but "." and "..", in the server's order, with their attributes. Names that cannot be names are dropped
  // and logged. 2 RT for up to a few hundred entries, then about one more per doubling.
  virtual Result<std::vector<DirEntry>> ReadDirectory(const OpContext& ctx, const RemotePath& path) = 0;

  // Both take many questions to the server in one go, for what is asked ahead of time; the answers come to the
  // callback, on the calling thread, in any order, while others are still on their way. The status is that of the way
  // to the server; when it failed, some questions are not answered. The default asks one after the other.
  using Listed = std::function<void(std::size_t index, Result<DirectoryListing> listing)>;
  using Seen = std::function<void(std::size_t index, Result<Attributes> attributes)>;
  // 2 RT for up to 64 short directories. One with more than `max_entries` is kTooBig.
  virtual Status ReadDirectories(const OpContext& ctx, std::span<const DirectoryQuery> queries, std::size_t max_entries,
                                 const Listed& listed);
  virtual Status LstatMany(const OpContext& ctx, std::span<const RemotePath> paths, const Seen& seen);  // 1 RT

  virtual Result<std::string> ReadLink(const OpContext& ctx, const RemotePath& path) = 0;                 // 1 RT
  virtual Status MakeSymlink(const OpContext& ctx, const RemotePath& path, std::string_view target) = 0;  // 1 RT
  virtual Status MakeDirectory(const OpContext& ctx, const RemotePath& path, std::uint32_t permissions) = 0;
  virtual Status RemoveFile(const OpContext& ctx, const RemotePath& path) = 0;       // 1 RT; kIsDirectory on one
  virtual Status RemoveDirectory(const OpContext& ctx, const RemotePath& path) = 0;  // 1 RT
  virtual Status Rename(const OpContext& ctx, const RemotePath& from, const RemotePath& to, RenameMode mode) = 0;
  // A second name for `existing`. kUnsupported without hardlink@openssh.com. 1 RT
  virtual Status MakeHardLink(const OpContext& ctx, const RemotePath& existing, const RemotePath& path) = 0;

  // `permissions` (07777) are those of a file that this call creates; the server applies its own umask. 1 RT
  virtual Result<OpenedFile> Open(const OpContext& ctx, const RemotePath& path, const OpenFlags& flags,
                                  std::uint32_t permissions) = 0;

  // kUnsupported without statvfs@openssh.com. 1 RT
  virtual Result<FsStats> StatFs(const OpContext& ctx, const RemotePath& path) = 0;

  // Canonical absolute path of `text`; a relative one starts where the server starts. 1 RT
  virtual Result<RemotePath> RealPath(const OpContext& ctx, std::string_view text) = 0;

  // Copies on the server, between files opened through this RemoteFs. Returns the bytes copied: `length`, or less when
  // the source ended. kUnsupported without copy-data.
  virtual Result<std::uint64_t> CopyRange(const OpContext& ctx, RemoteFile& from, std::uint64_t from_offset,
                                          RemoteFile& to, std::uint64_t to_offset, std::uint64_t length) = 0;

  virtual RemoteCapabilities capabilities() const = 0;
};

}  // namespace bt
