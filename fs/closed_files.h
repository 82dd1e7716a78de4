// Files that were written here and closed a moment ago. Programs that copy a file close it, and then set its times and
// its mode by name, open it once more, and rename it: rsync, tar, git. For the moment in which that happens the
// server's handle stays open: times wait for the mode and travel with it (WriteBuffer::Change), and opening the file
// again costs nothing.
//
// The moment is short, since the server's system lets nobody execute a file that is open for writing; and it ends when
// the file is renamed or removed.
//
// Threading: any thread. Nothing blocks; a thread of its own ends what has had its time.
#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <thread>

#include "fs/open_file.h"
#include "transport/base/sync.h"

namespace bt {

class ClosedFiles {
 public:
  // `end` is called once for each file, `moment` after it was closed or earlier, from any thread: no more changes come
  // through it.
  ClosedFiles(std::chrono::milliseconds moment, std::function<void(OpenFile&)> end);
  ~ClosedFiles();  // ends all
  ClosedFiles(const ClosedFiles&) = delete;
  ClosedFiles& operator=(const ClosedFiles&) = delete;

  void Keep(std::shared_ptr<OpenFile> file);
  // Null when there is none.
  std::shared_ptr<OpenFile> Find(InodeNo inode) const;
  void End(InodeNo inode);

 private:
  static constexpr std::size_t kMost = 64;  // of the handles that a server lets one connection have

  struct Kept {
    std::shared_ptr<OpenFile> file;
    TimePoint until;
  };
  using List = std::list<Kept>;  // the oldest first

  void EndAll(const List& ended);
  void Run(const std::stop_token& stop);

  const std::chrono::milliseconds moment_;
  const std::function<void(OpenFile&)> end_;
  mutable Mutex mutex_;
  CondVar changed_;
  List kept_ GUARDED_BY(mutex_);
  std::jthread thread_;  // last: it uses the rest
};

}  // namespace bt
