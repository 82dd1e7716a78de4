// A RemoteFs that survives its connections: requests wait for the link, are sent again when that is safe, and are
// decided by looking at the server when it is not (transport/RECONNECT.md). Open files are opened again by path.
//
// Threading and errors: as RemoteFs. In addition: kTimedOut when the link did not come back within the context's
// deadline; kStale for a handle whose file is no longer the same; kFailure with tag "reconnect.unknown-outcome" when a
// request was lost midway and looking could not tell whether it was done.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <vector>

#include "transport/base/sync.h"
#include "transport/link.h"
#include "transport/remote_fs.h"
#include "transport/retry_policy.h"

namespace bt {

class FileIdentity;
class ReconnectingFile;

class ReconnectingFs : public RemoteFs {
 public:
  // `link` must outlive the object and every file opened through it.
  explicit ReconnectingFs(Link& link) : link_(link) {}

  Result<Attributes> Lstat(const OpContext& ctx, const RemotePath& path) override;
  Result<Attributes> Stat(const OpContext& ctx, const RemotePath& path) override;
  Status SetAttributes(const OpContext& ctx, const RemotePath& path, const AttributeChange& change) override;
  Result<std::vector<DirEntry>> ReadDirectory(const OpContext& ctx, const RemotePath& path) override;
  Status ReadDirectories(const OpContext& ctx, std::span<const DirectoryQuery> queries, std::size_t max_entries,
                         const Listed& listed) override;
  Status LstatMany(const OpContext& ctx, std::span<const RemotePath> paths, const Seen& seen) override;
  Result<std::string> ReadLink(const OpContext& ctx, const RemotePath& path) override;
  Status MakeSymlink(const OpContext& ctx, const RemotePath& path, std::string_view target) override;
  Status MakeDirectory(const OpContext& ctx, const RemotePath& path, std::uint32_t permissions) override;
  Status RemoveFile(const OpContext& ctx, const RemotePath& path) override;
  Status RemoveDirectory(const OpContext& ctx, const RemotePath& path) override;
  Status Rename(const OpContext& ctx, const RemotePath& from, const RemotePath& to, RenameMode mode) override;
  Status MakeHardLink(const OpContext& ctx, const RemotePath& existing, const RemotePath& path) override;
  Result<OpenedFile> Open(const OpContext& ctx, const RemotePath& path, const OpenFlags& flags,
                          std::uint32_t permissions) override;
  Result<FsStats> StatFs(const OpContext& ctx, const RemotePath& path) override;
  Result<RemotePath> RealPath(const OpContext& ctx, std::string_view text) override;
  Result<std::uint64_t> CopyRange(const OpContext& ctx, RemoteFile& from, std::uint64_t from_offset, RemoteFile& to,
                                  std::uint64_t to_offset, std::uint64_t length) override;
  RemoteCapabilities capabilities() const override;

 private:
  friend class ReconnectingFile;

  enum class Outcome { kDone, kNotDone, kCannotTell };
  using Look = std::function<Result<Outcome>()>;

  template <typename Call>
  auto Repeat(const OpContext& ctx, Operation operation, Call call) -> decltype(call(std::declval<RemoteFs&>()));
  Status Mutate(const OpContext& ctx, Operation operation, const std::function<Status(const Connection&)>& call,
                const Look& look);
  struct OpenedOn {
    Connection connection;
    OpenedFile opened;
  };
  Result<OpenedOn> OpenRepeatedly(const OpContext& ctx, const RemotePath& path, const OpenFlags& flags,
                                  std::uint32_t permissions);
  Result<OpenedOn> CreateExclusive(const OpContext& ctx, const RemotePath& path, const OpenFlags& flags,
                                   std::uint32_t permissions);
  // Lstat where "there is nothing" is an answer and not an error.
  Result<std::optional<Attributes>> LookAt(const OpContext& ctx, const RemotePath& path);

  // As Link::Acquire. The first one on a new connection lets go of what is left of the old ones.
  Result<Connection> Acquire(const OpContext& ctx);

  void Add(ReconnectingFile* file);
  void Remove(ReconnectingFile* file);
  // A rename of this mount while it is not known whether it is done.
  struct Move {
    RemotePath from;
    RemotePath to;
  };
  class MoveUnderWay;
  // Until no rename that concerns the file's path is under way.
  Status AwaitRenames(const OpContext& ctx, const ReconnectingFile& file);
  void PathsMoved(const RemotePath& from, const RemotePath& to);
  void PathRemoved(const RemotePath& path);
  // Tells every open file of the path that this mount changes it. `origin` may have no path any more.
  using Tell = std::function<void(FileIdentity&)>;
  void Announce(const RemotePath& path, const Tell& tell) { AnnounceTo(path, nullptr, tell); }
  void Announce(ReconnectingFile& origin, const Tell& tell);
  void AnnounceTo(const RemotePath& path, const ReconnectingFile* origin, const Tell& tell);
  static Tell Changing(const AttributeChange& change);

  Link& link_;
  std::atomic<std::uint64_t> latest_generation_{1};
  std::atomic<std::uint64_t> announcements_{0};
  mutable Mutex mutex_;
  CondVar rename_ended_;
  std::list<Move> moves_ GUARDED_BY(mutex_);
  std::vector<ReconnectingFile*> files_ GUARDED_BY(mutex_);  // open now; each takes itself out when destroyed
};

}  // namespace bt
