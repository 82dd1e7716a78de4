// The files of an SFTP server over one channel: RemoteFs by SFTP v3 and OpenSSH's extensions.
//
// Beyond the contract of RemoteFs:
// - A failure costs up to two round trips more, to find out what SSH_FX_FAILURE meant (failure_diagnosis.h).
// - SetAttributes by path takes 2 RT where it must look whether the path is a symlink first: without
//   lsetstat@openssh.com, and for sizes, which that extension cannot change.
// - CopyRange takes 3 RT per 64 MiB.
// - Rename(kReplace) without posix-rename@openssh.com never removes the target first: it fails with kExists.
//
// Threading: as RemoteFs. Destroying the SftpFs ends the channel; files still open fail from then on.
#pragma once

#include <memory>

#include "transport/remote_fs.h"
#include "transport/sftp/message_channel.h"
#include "transport/sftp/session.h"

namespace bt::sftp {

class SftpFile;

class SftpFs final : public RemoteFs {
 public:
  // Greets the server on `channel`: 1 RT. The channel is ended again when that fails.
  static Result<std::unique_ptr<SftpFs>> Open(const OpContext& ctx, std::unique_ptr<MessageChannel> channel);
  ~SftpFs() override;
  SftpFs(const SftpFs&) = delete;
  SftpFs& operator=(const SftpFs&) = delete;

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
  RemoteCapabilities capabilities() const override { return session_->server().capabilities(); }

  // The session below, for link supervision (last_received, closed) and for tests. Lives as long as the SftpFs.
  SftpClient& client() { return session_->client(); }

 private:
  explicit SftpFs(std::shared_ptr<Session> session) : session_(std::move(session)) {}

  Result<bool> CopyChunk(const OpContext& ctx, SftpFile& from, std::uint64_t from_offset, SftpFile& to,
                         std::uint64_t to_offset, std::uint64_t length);
  Status SetAttributesGuarded(const OpContext& ctx, const RemotePath& path, const AttributeChange& change);

  const std::shared_ptr<Session> session_;
};

}  // namespace bt::sftp
