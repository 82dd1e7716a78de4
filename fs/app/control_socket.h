// How a mount is asked about itself: a Unix socket of its own, one line of JSON a question and an answer.
//
//   {"command":"status"}            -> one status (mount_status.h), then the end
//   {"command":"follow"}            -> a status twice a second until the mount has ended, the last one with "ended"
//   {"command":"stop","force":true} -> one status; the mount ends. With force without waiting for a dead link.
//
// The sockets of a user are <runtime directory>/<pid>.sock, 0600 in a folder of 0700; sockets of the dead are removed
// by whoever looks.
//
// Threading: one thread of its own answers, so that it does so while everything else waits. The functions that ask
// block for at most the time given.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "fs/app/mount_status.h"
#include "transport/base/result.h"
#include "transport/base/sync.h"
#include "transport/base/unique_fd.h"

namespace bt::app {

// ${XDG_RUNTIME_DIR}/bt-mount, else /tmp/bt-mount-<uid>/bt-mount. Made when missing; kConfig when it is another user's.
Result<std::filesystem::path> ControlDirectory();

class ControlSocket {
 public:
  struct Callbacks {
    std::function<MountStatus()> status;  // must not wait
    std::function<void(bool force)> stop;
  };

  static Result<std::unique_ptr<ControlSocket>> Open(Callbacks callbacks);
  // Followers get their last line, then the end. Removes the socket.
  ~ControlSocket();
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;

  // The last word: what came of the mount. Before the destructor.
  void Finish(MountStatus last);

  const std::filesystem::path& path() const { return path_; }

 private:
  ControlSocket(Callbacks callbacks, std::filesystem::path path, UniqueFd listener, UniqueFd doorbell);
  void Run(const std::stop_token& stop);
  void Serve(UniqueFd client);
  void TellFollowers(const std::string& line);

  const Callbacks callbacks_;
  const std::filesystem::path path_;
  const UniqueFd listener_;
  const UniqueFd doorbell_;
  std::vector<UniqueFd> followers_;  // the thread's own while it runs

  std::jthread thread_;  // last: it uses everything above
};

// The running mounts of this user, oldest process number first. Removes sockets that nobody listens on.
struct FoundMount {
  std::filesystem::path socket;
  MountStatus status;
};
std::vector<FoundMount> FindMounts(std::chrono::milliseconds patience);

// One question, one answer.
Result<MountStatus> AskMount(const std::filesystem::path& socket, const std::string& question,
                             std::chrono::milliseconds patience);
// Hears from a mount until it has ended. Connect before asking it to end: then no word can be missed.
class Follower {
 public:
  // Returns when the mount has answered, so that it knows of its follower whatever happens next.
  static Result<Follower> Connect(const std::filesystem::path& socket);
  // Calls `on_status` for each line and returns the last one; kTimedOut after `patience`, kDisconnected when the
  // mount's process ended without a last word.
  Result<MountStatus> Await(std::chrono::milliseconds patience,
                            const std::function<void(const MountStatus&)>& on_status);

 private:
  explicit Follower(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
  std::string rest_;  // of what came, after the line read last
};

}  // namespace bt::app
