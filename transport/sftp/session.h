// One SFTP session and what is learned about its server while it is used. Shared by the SftpFs that opened it and the
// files opened through it, which may live longer.
//
// Threading: every method may be called from any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "transport/sftp/sftp_client.h"

namespace bt::sftp {

class Session {
 public:
  explicit Session(std::unique_ptr<SftpClient> client)
      : client_(std::move(client)), read_piece_(client_->server().max_read) {}

  SftpClient& client() { return *client_; }
  const ServerFeatures& server() const { return client_->server(); }

  // How much one READ should ask for.
  std::size_t read_piece() const { return read_piece_.load(); }

  // A READ for more than `got` bytes returned `got`, and the file went on behind them. Seen twice with the same number,
  // this is a limit of the server (pkg/sftp cuts replies at 32 KiB by default) and not a file that grew meanwhile.
  void NoteShortRead(std::size_t got);

  void NoteHandleOpened() { ++open_handles_; }
  void NoteHandleClosed() { --open_handles_; }
  // True when the server is likely to have no handle left.
  bool handles_exhausted() const {
    return server().max_handles != 0 && open_handles_.load() + 1 >= server().max_handles;
  }

  // lsetstat@openssh.com cannot change permissions where the server's libc has no fchmodat(AT_SYMLINK_NOFOLLOW)
  // (glibc before 2.32).
  bool lsetstat_lacks_permissions() const { return lsetstat_lacks_permissions_.load(); }
  void NoteLsetstatLacksPermissions() { lsetstat_lacks_permissions_.store(true); }

  // True for the first caller only: a server that lists impossible names does so every time.
  bool ShouldReportBadNames() { return !bad_names_reported_.exchange(true); }

 private:
  const std::unique_ptr<SftpClient> client_;
  std::atomic<std::size_t> read_piece_;
  std::atomic<std::size_t> last_short_read_{0};
  std::atomic<std::uint64_t> open_handles_{0};
  std::atomic<bool> lsetstat_lacks_permissions_{false};
  std::atomic<bool> bad_names_reported_{false};
};

// Closes a handle at the end of its scope, without waiting for the server.
class ScopedHandle {
 public:
  ScopedHandle(SftpClient& client, std::string handle) : client_(client), handle_(std::move(handle)) {}
  ~ScopedHandle() { client_.SubmitAndForget(CloseRequest(handle_)); }
  ScopedHandle(const ScopedHandle&) = delete;
  ScopedHandle& operator=(const ScopedHandle&) = delete;

  const std::string& get() const { return handle_; }

 private:
  SftpClient& client_;
  const std::string handle_;
};

}  // namespace bt::sftp
