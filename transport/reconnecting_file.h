// An open file that outlives connections: opened again by path when next needed, its identity checked.
//
// Threading: any thread. Methods of RemoteFile may run in parallel; one of them opens the file again, the others wait.
#pragma once

#include <memory>

#include "transport/base/sync.h"
#include "transport/file_identity.h"
#include "transport/link.h"
#include "transport/reconnecting_fs.h"

namespace bt {

class ReconnectingFile : public RemoteFile {
 public:
  ReconnectingFile(ReconnectingFs& fs, RemotePath path, const OpenFlags& flags, const Connection& connection,
                   OpenedFile opened);
  ~ReconnectingFile() override;

  Result<std::size_t> Read(const OpContext& ctx, std::uint64_t offset, std::span<std::byte> out) override;
  Status Write(const OpContext& ctx, std::uint64_t offset, std::span<const std::byte> bytes) override;
  Result<std::optional<Attributes>> WriteAndChange(const OpContext& ctx, std::uint64_t offset,
                                                   std::span<const std::byte> bytes,
                                                   const AttributeChange& change) override;
  Result<Attributes> Stat(const OpContext& ctx) override;
  Status SetAttributes(const OpContext& ctx, const AttributeChange& change) override;
  Status Sync(const OpContext& ctx) override;

  // The handle on one connection, kept alive while in use.
  struct Handle {
    Connection connection;
    std::shared_ptr<RemoteFile> file;
  };
  // The handle on the present connection, opening the file again if need be. kStale when it is no longer the same.
  Result<Handle> Acquire(const OpContext& ctx);
  // On exactly `connection`, or kDisconnected when that is no longer the present one.
  Result<Handle> AcquireOn(const OpContext& ctx, const Connection& connection);

  // Told by ReconnectingFs when a path operation of this mount concerns the file.
  RemotePath path() const;
  void Moved(const RemotePath& from, const RemotePath& to);
  void Unlinked();
  // Told by ReconnectingFs when this mount changes the file behind the path, through whatever handle.
  FileIdentity& identity() { return identity_; }
  bool At(const RemotePath& path) const;
  // A handle on an older connection, which is of no use but keeps that connection's thread and memory.
  Handle TakeOlderThan(std::uint64_t generation);

 private:
  template <typename Call>
  auto Repeat(const OpContext& ctx, Operation operation, Call call) -> decltype(call(std::declval<RemoteFile&>()));
  Status Append(const OpContext& ctx, std::span<const std::byte> bytes);
  // How many of `bytes`, appended when the file ended at `from`, have arrived. Looks at the server.
  Result<std::size_t> CountAppended(const OpContext& ctx, std::uint64_t from, std::span<const std::byte> bytes);
  Result<std::shared_ptr<RemoteFile>> Reopen(const OpContext& ctx, const Connection& connection);
  Status CheckIdentity(const OpContext& ctx, RemoteFs& remote, RemoteFile& file, const RemotePath& path,
                       const Attributes& now);
  Error Stale(std::string_view why);
  Error Changed(std::string_view how);

  ReconnectingFs& fs_;
  const OpenFlags reopen_flags_;  // without create, exclusive and truncate
  FileIdentity identity_;

  mutable Mutex mutex_;
  CondVar reopened_;
  RemotePath path_ GUARDED_BY(mutex_);
  bool unlinked_ GUARDED_BY(mutex_) = false;
  bool stale_ GUARDED_BY(mutex_) = false;
  bool reopening_ GUARDED_BY(mutex_) = false;
  Handle handle_ GUARDED_BY(mutex_);
};

}  // namespace bt
