// One open file: the server's handle, the inode it belongs to, and what it may do. Shared by the handle table, running
// requests and unwritten data; the last share closes it on the server without waiting.
//
// Threading: any thread; RemoteFile may be called from any thread.
#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "fs/inode_table.h"
#include "transport/remote_fs.h"

namespace bt {

class OpenFile {
 public:
  OpenFile(FileHandle handle, InodePin pin, std::unique_ptr<RemoteFile> remote, const OpenFlags& flags)
      : handle_(handle), pin_(std::move(pin)), remote_(std::move(remote)), flags_(flags) {}
  ~OpenFile() = default;
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  FileHandle handle() const { return handle_; }
  Inode& inode() const { return *pin_.inode(); }
  const std::shared_ptr<Inode>& share_inode() const { return pin_.share(); }
  RemoteFile& remote() const { return *remote_; }
  bool readable() const { return flags_.read; }
  bool writable() const { return flags_.write; }
  bool append() const { return flags_.append; }

  // Whether a close(2) of the handle has been asked for since its last write: then nobody may be left to collect
  // errors.
  bool closing() const { return closing_.load(); }
  void SetClosing(bool closing) { closing_.store(closing); }

 private:
  const FileHandle handle_;
  const InodePin pin_;
  const std::unique_ptr<RemoteFile> remote_;
  const OpenFlags flags_;
  std::atomic<bool> closing_{false};
};

}  // namespace bt
