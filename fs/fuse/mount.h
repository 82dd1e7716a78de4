// A Filesystem mounted in the tree of files, from Open() to the destructor.
//
//   auto mount = TRY(Mount::Open(options, filesystem));
//   Status ended = mount->Run([] { /* it answers now */ });   // until unmounted or stopped
//   mount.reset();
//   filesystem.FlushAll(ctx);
//
// Threading: Stop() from any thread and from a signal handler. Run() and the destructor from the owner's thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fs/filesystem.h"
#include "transport/base/result.h"

namespace bt::fuse {

struct MountOptions {
  std::filesystem::path mount_point;
  std::string fsname;  // what df and the table of mounts show as the source
  bool read_only = false;
  bool allow_other = false;
  bool default_permissions = false;
  bool nonempty = false;
  std::vector<std::string> kernel_words;  // more -o words, as they are: noexec, noatime, ...

  std::chrono::milliseconds timeout{30'000};      // of one request; 0: none
  std::chrono::milliseconds negative_ttl{1'000};  // how long the kernel may believe that a name does not exist
  std::size_t max_threads = 128;                  // requests that wait at the same time; more are queued
  std::chrono::milliseconds thread_idle{10'000};  // then a thread ends
  std::size_t reader_threads = 4;                 // read requests and never wait
};

class Mount {
 public:
  // Mounts. Programs that look at the mount point wait until Run(). kConfig with a text for the user when the options,
  // the mount point or the system do not allow it. `fs` must outlive the mount.
  static Result<std::unique_ptr<Mount>> Open(MountOptions options, Filesystem& fs);

  // Unmounts if Run() did not: lazily, so that it never waits for programs or for the network.
  ~Mount();
  Mount(const Mount&) = delete;
  Mount& operator=(const Mount&) = delete;

  // Serves until somebody unmounts or Stop() is called; then ends every request (those that wait get EINTR) and
  // unmounts. `on_ready` is called on this thread once the mount answers. Call it once.
  Status Run(const std::function<void()>& on_ready = {});

  // Makes Run() return, now or as soon as it is called.
  void Stop() noexcept;

  const std::filesystem::path& mount_point() const;  // canonical

  struct Counts {
    std::uint64_t succeeded = 0;
    std::uint64_t failed = 0;
    std::uint64_t interrupted = 0;  // of those that failed
    std::uint64_t forgotten = 0;    // defects: requests that only a destructor answered
    std::size_t waiting = 0;        // requests not answered yet
    std::size_t queued = 0;         // of those, not started yet
    std::size_t threads = 0;
  };
  Counts counts() const;

 private:
  class State;
  explicit Mount(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace bt::fuse
