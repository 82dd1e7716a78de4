// Child processes of the stand-in: sshd and ssh-keygen. Children die with the program that started them.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "transport/base/result.h"
#include "transport/base/sync.h"

namespace bt::standin {

struct Command {
  std::vector<std::string> argv;         // argv[0] is a path
  std::vector<std::string> environment;  // "NAME=value", in addition to PATH
  std::string log_file;                  // standard output and error are appended here
};

// Starts children from one thread that lives as long as the spawner. The kernel's "kill me when my parent dies" means
// the *thread* that forked, so children started by a test's short-lived thread would be lost with it.
//
// Threading: any thread. Destroying it does not end the children; their owners do.
class Spawner {
 public:
  Spawner();
  ~Spawner() = default;
  Spawner(const Spawner&) = delete;
  Spawner& operator=(const Spawner&) = delete;

  Result<pid_t> Start(const Command& command);
  // Blocks until the program ended; its log is the error's text when it failed.
  Status Run(const Command& command);

 private:
  void Loop(const std::stop_token& stop);

  Mutex mutex_;
  CondVar wake_;
  std::vector<std::function<void()>> queue_ GUARDED_BY(mutex_);
  std::jthread thread_;
};

// All living descendants of a process, without itself.
std::vector<pid_t> Descendants(pid_t root);

// SIGKILL to a child of ours and to everything below it; returns when they are gone, and reaps the child.
void KillTree(pid_t root);

// SIGKILL to all processes whose environment has this variable with exactly this value and SSH_CONNECTION ending with
// this port: commands of SSH sessions that outlived their session and so are nobody's descendants any more.
void KillSessionCommands(const std::string& variable, std::uint16_t port);

// Processor time used by a child of ours, by everything below it, and by what those have already waited for.
double TreeCpuSeconds(pid_t root);

// Whether a child of ours still runs. Does not reap it: KillTree() does.
bool IsAlive(pid_t child);

}  // namespace bt::standin
