// Real OpenSSH servers for these tests: a listening socket on loopback, one `sshd -i` per connection, a certificate
// authority, and the keys of `ssh-keygen`. The user `baseten` exists through libnss-wrapper.
//
// Threading: one test; connections are accepted by a thread of its own.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/plain_stream/plain_stream.h"
#include "transport/base/sync.h"
#include "transport/ssh/ssh_connection.h"

namespace bt::test {

// Runs a program to its end; its exit status.
int RunProgram(const std::vector<std::string>& arguments);
std::string ReadFile(const std::filesystem::path& path);
void WriteFile(const std::filesystem::path& path, const std::string& text);

class TempDir {
 public:
  TempDir();
  ~TempDir();
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

class Sshd {
 public:
  // `configuration`: lines for sshd_config besides what the tests always need; without "Subsystem sftp" there is none.
  explicit Sshd(const std::string& configuration = kWithSftp);
  ~Sshd();

  static constexpr const char* kWithSftp = "Subsystem sftp /usr/lib/openssh/sftp-server\n";

  std::uint16_t port() const { return port_; }
  const std::filesystem::path& dir() const { return dir_.path(); }

  // The certificate line for `public_key_line`, signed by the authority that the server trusts, or by another.
  std::string Sign(const std::string& public_key_line, const std::string& validity = "+1h",
                   const std::string& authority = "ca");

  // An open connection with a new key, or the reason why not.
  Result<std::shared_ptr<ssh::SshConnection>> Connect(const PlainStream::Options& options = {});
  Result<std::shared_ptr<ssh::SshConnection>> Connect(const ssh::KeyPair& key, const std::string& certificate);
  Result<std::unique_ptr<PlainStream>> ConnectStream(const PlainStream::Options& options = {});

  // Kills every server process of this object.
  void KillServers();

 private:
  void Accept();

  TempDir dir_;
  UniqueFd listener_;
  std::uint16_t port_ = 0;
  std::atomic<bool> ending_{false};
  int certificates_ = 0;
  Mutex mutex_;
  std::vector<pid_t> servers_ GUARDED_BY(mutex_);
  std::jthread thread_;
};

// Twenty seconds: far more than anything here takes, so that a failure ends.
OpContext Soon();

}  // namespace bt::test
