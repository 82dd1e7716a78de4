// An open file of an SFTP server. Made by SftpFs::Open.
//
// Threading: any method from any thread; the caller keeps the file alive during calls. The file may outlive its SftpFs:
// calls then fail with kDisconnected.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "transport/remote_fs.h"
#include "transport/sftp/session.h"

namespace bt::sftp {

class SftpFile final : public RemoteFile {
 public:
  // Takes over `handle`, which the destructor closes without waiting.
  SftpFile(std::shared_ptr<Session> session, std::string handle, RemotePath path, bool append);
  ~SftpFile() override;
  SftpFile(const SftpFile&) = delete;
  SftpFile& operator=(const SftpFile&) = delete;

  Result<std::size_t> Read(const OpContext& ctx, std::uint64_t offset, std::span<std::byte> out) override;
  Status Write(const OpContext& ctx, std::uint64_t offset, std::span<const std::byte> bytes) override;
  Result<std::optional<Attributes>> WriteAndChange(const OpContext& ctx, std::uint64_t offset,
                                                   std::span<const std::byte> bytes,
                                                   const AttributeChange& change) override;
  Result<Attributes> Stat(const OpContext& ctx) override;
  Status SetAttributes(const OpContext& ctx, const AttributeChange& change) override;
  Status Sync(const OpContext& ctx) override;

  // A size that the server told. A hint only: it decides where a READ is cut in two, never how much is read.
  void NoteSize(std::uint64_t size) { known_size_.store(size); }

  const Session* session() const { return session_.get(); }
  const std::string& handle() const { return handle_; }
  const RemotePath& path() const { return path_; }
  bool append() const { return append_; }

 private:
  struct Piece {
    std::size_t begin = 0;  // within the caller's span
    std::size_t length = 0;
    std::size_t short_of = 0;  // what the READ before this one returned, when this is the rest of it
  };
  std::vector<Piece> Split(std::uint64_t offset, std::size_t length) const;
  std::vector<Request> WriteRequests(std::uint64_t offset, std::span<const std::byte> bytes) const;
  // Every answer, so that after an error of the server nothing of these writes is still being written.
  Status TakeWritten(const OpContext& ctx, std::span<SftpClient::Call> calls, std::uint64_t offset,
                     std::uint64_t length);
  void Cut(std::size_t begin, std::size_t end, std::vector<Piece>& pieces) const;

  const std::shared_ptr<Session> session_;
  const std::string handle_;
  const RemotePath path_;  // where it was opened: for messages and to look after failures
  const bool append_;
  std::atomic<std::uint64_t> known_size_{0};
};

// kInvalid for times that the 32 unsigned bits of SFTP v3 cannot hold.
Status CheckChange(const AttributeChange& change);

}  // namespace bt::sftp
