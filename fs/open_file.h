// One open file: the server's handle, the inode it belongs to, and what it may do. Shared by the handle table, running
// requests and unwritten data; the last share closes it on the server without waiting.
//
// Threading: any thread; RemoteFile may be called from any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <utility>

#include "cache/file_reader.h"
#include "fs/inode_table.h"
#include "transport/remote_fs.h"

namespace bt {

class OpenFile {
 public:
  // `reader` reads the same `remote`; null where the file is not open for reading.
  OpenFile(FileHandle handle, InodePin pin, std::shared_ptr<RemoteFile> remote, const OpenFlags& flags,
           std::shared_ptr<FileReader> reader)
      : handle_(handle), pin_(std::move(pin)), remote_(std::move(remote)), flags_(flags), reader_(std::move(reader)) {}
  ~OpenFile() {
    if (reader_ != nullptr) {
      reader_->Close();
    }
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  FileHandle handle() const { return handle_; }
  Inode& inode() const { return *pin_.inode(); }
  const std::shared_ptr<Inode>& share_inode() const { return pin_.share(); }
  RemoteFile& remote() const { return *remote_; }
  const std::shared_ptr<RemoteFile>& share_remote() const { return remote_; }
  FileReader* reader() const { return reader_.get(); }
  bool readable() const { return flags_.read; }
  bool writable() const { return flags_.write; }
  bool append() const { return flags_.append; }

  // Whether a close(2) of the handle has been asked for since its last write: then nobody may be left to collect
  // errors.
  bool closing() const { return closing_.load(); }
  void SetClosing(bool closing) { closing_.store(closing); }

  // Whether nobody is left to collect errors, for ever.
  bool released() const { return released_.load(); }
  void SetReleased() { released_.store(true); }

  // A program has read to the end of the file, and has kept it open since for longer than a program takes that only
  // reads it: it follows what is appended.
  bool followed() const { return read_to_end_.load() && Clock::now() - opened_at_ >= kReadingTime; }
  void ReadToEnd() { read_to_end_.store(true); }

 private:
  static constexpr std::chrono::milliseconds kReadingTime{500};

  const FileHandle handle_;
  const InodePin pin_;
  const std::shared_ptr<RemoteFile> remote_;
  const OpenFlags flags_;
  const std::shared_ptr<FileReader> reader_;
  const TimePoint opened_at_ = Clock::now();
  std::atomic<bool> closing_{false};
  std::atomic<bool> released_{false};
  std::atomic<bool> read_to_end_{false};
};

}  // namespace bt
