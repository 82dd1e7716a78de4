// One node of the training job: a directory that is its workspace, and a real OpenSSH server in it.
//
// The server runs as the user who runs the stand-in, who is also called "baseten" (and "app") there, with the node's
// directory as home. Absolute paths of a container (/b10/workspace) do not exist.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "tests/support/sftp_tap/shared_page.h"
#include "tests/support/standin/process.h"
#include "transport/base/sync.h"

namespace bt::standin {

enum class SftpMode {
  kTap,    // sftp-server behind the tap, which counts and can break
  kPlain,  // sftp-server alone: no counters
  kNone,   // no sftp subsystem, as in an image without sftp-server
};

struct SshdOptions {
  SftpMode sftp = SftpMode::kTap;
  int max_sessions = 10;
  std::string max_startups = "10:30:100";
  std::string rekey_limit{};    // as in sshd_config, for example "8M"; empty: the default
  std::string more_settings{};  // lines for sshd_config
};

enum class HostKey { kSame, kNew };

// A fault of the SFTP session. `request` is a name of sftp_tap/requests.h: "mkdir", "posix-rename", ...
struct SftpFault {
  tap::Action action = tap::Action::kFail;
  std::string request{};
  std::uint32_t skip = 0;              // such requests to let pass first
  std::uint32_t times = 1;             // how often; 0: until cleared
  std::chrono::milliseconds delay{0};  // for kDelay
};

struct SftpCounters {
  std::uint64_t sessions = 0;
  std::map<std::string, std::uint64_t> requests;  // by name; only those that happened
  std::uint64_t replies = 0;
  std::uint64_t bytes_read = 0;  // payload
  std::uint64_t bytes_written = 0;
  std::uint64_t turns = 0;  // round trips the client waited for (see shared_page.h)
  std::uint64_t faults_fired = 0;
};

struct NodeConfig {
  int index = 0;
  int nodes = 1;          // of the job
  std::string directory;  // the workspace
  std::string run_dir;    // keys, configuration, logs
  std::string user_ca;    // public key of the authority that signs users
  std::string tap_program;
  SshdOptions sshd;
};

// Threading: any thread; calls that change the server block until it is done (some 20 ms).
class Node {
 public:
  static Result<std::unique_ptr<Node>> Start(Spawner& spawner, const NodeConfig& config);
  ~Node();  // kills the server and all its sessions
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  const std::string& directory() const { return config_.directory; }
  std::uint16_t port() const { return port_; }  // 0 while stopped
  pid_t pid() const { return pid_; }            // -1 while stopped
  std::string log_file() const;
  std::string host_key() const;  // public, one line

  // The container dies: server and sessions are killed at once.
  void Stop();
  // The server again (after Stop(), or instead of the running one); kNew is another container.
  Status Restart(HostKey host_key);
  Status Restart(HostKey host_key, const SshdOptions& options);

  Status ArmFault(const SftpFault& fault);  // kInvalid: no such request; kTooManyHandles: all places are taken
  void ClearFaults();
  SftpCounters sftp_counters() const;
  void SetRtt(std::chrono::nanoseconds rtt) { page_->rtt_ns = static_cast<std::uint64_t>(rtt.count()); }

  double CpuSeconds() const;  // of the server, its sessions and what they ran

 private:
  struct Unmap {
    void operator()(tap::SharedPage* page) const;
  };

  Node(Spawner& spawner, NodeConfig config);
  Status MapPage();
  Status WriteUsers();
  Status WriteConfig(std::uint16_t port, bool with_penalties_off) REQUIRES(mutex_);
  Status StartServer() REQUIRES(mutex_);
  Status TryPort(std::uint16_t port) REQUIRES(mutex_);
  void KillServer() REQUIRES(mutex_);
  std::string File(const std::string& name) const;

  Spawner& spawner_;
  const NodeConfig config_;
  std::unique_ptr<tap::SharedPage, Unmap> page_;
  std::atomic<std::uint16_t> port_{0};
  std::atomic<pid_t> pid_{-1};

  mutable Mutex mutex_;  // one change of the server at a time
  SshdOptions sshd_ GUARDED_BY(mutex_);
  double cpu_of_dead_ GUARDED_BY(mutex_) = 0;
};

}  // namespace bt::standin
