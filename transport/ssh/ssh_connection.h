// An SSH connection to a container: what the rest of the program sees of this folder.
//
//   auto connection = TRY(SshConnection::Open(ctx, std::move(stream), {"baseten", *key_pair, certificate}));
//   auto channel = TRY(connection->OpenSftp(ctx));
//
// One thread of its own does all the work (see lane.h); its channels keep the connection alive.
//
// Threading: all methods from any thread, but not from within a channel's receiver unless said so. The last reference
// must not be dropped from within a receiver either.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "transport/base/byte_stream.h"
#include "transport/base/op_context.h"
#include "transport/sftp/message_channel.h"
#include "transport/ssh/host_key.h"
#include "transport/ssh/key_pair.h"

namespace bt::ssh {

class Lane;

struct SshLogin {
  std::string user;
  const KeyPair& key_pair;  // used during Open() only
  std::string certificate;  // the OpenSSH certificate line from the sign call
};

struct SshOptions {
  // How much the server may send before it waits for us. Throughput is at most this per round trip: at 50 ms, measured,
  // 2 MiB give 41 MB/s, 16 MiB 226 MB/s, and 64 MiB hardly more. It costs memory only while nobody reads.
  std::uint32_t receive_window = 16 * 1024 * 1024;
};

struct SshStatistics {
  std::uint64_t bytes_in = 0;   // SSH's own bytes included
  std::uint64_t bytes_out = 0;  // handed to the stream
  TimePoint last_received;      // TimePoint() when nothing came yet
};

class SshConnection {
 public:
  // Handshake and login over `stream`; blocks until done, the deadline or the cancellation.
  // kRefused (tag ssh.auth): the server does not take the certificate; kRefused (ssh.certificate): it is none, or not
  // of this key; kProtocol: the peer does not speak SSH or shares no algorithm; kDisconnected: the stream ended.
  static Result<std::shared_ptr<SshConnection>> Open(const OpContext& ctx, std::unique_ptr<ByteStream> stream,
                                                     const SshLogin& login, const SshOptions& options = {});
  ~SshConnection();
  SshConnection(const SshConnection&) = delete;
  SshConnection& operator=(const SshConnection&) = delete;

  // A new channel with the sftp subsystem; blocks. An OpenSSH server allows ten channels on one connection.
  // kUnsupported (ssh.no-sftp): the server has no SFTP; kUnavailable: no more channels; else why the connection ended.
  Result<std::unique_ptr<sftp::MessageChannel>> OpenSftp(const OpContext& ctx);

  // The same with another subsystem's name.
  Result<std::unique_ptr<sftp::MessageChannel>> OpenSubsystem(const OpContext& ctx, std::string name);

  // Runs a command and returns what it wrote to its standard output; blocks until it has ended. kTooBig above
  // kMaxExecOutput. The exit status is not told.
  static constexpr std::size_t kMaxExecOutput = 64 * 1024;
  Result<std::string> Exec(const OpContext& ctx, std::string command);

  const HostKey& host_key() const { return host_key_; }
  // "SSH-2.0-OpenSSH_9.2p1 Debian-2": for logs and for what a server is known to do badly.
  const std::string& server_version() const { return server_version_; }

  // Ends the connection without waiting; every channel's receiver gets OnClosed(why). Also from within a receiver.
  void Abort(Error why);
  // Why the connection ended; nothing while it lives.
  std::optional<Error> ended() const;
  SshStatistics statistics() const;

 private:
  SshConnection(std::unique_ptr<Lane> lane, const SshOptions& options);
  Result<std::unique_ptr<sftp::MessageChannel>> OpenChannel(const OpContext& ctx, std::string kind,
                                                            std::string argument);

  const SshOptions options_;
  HostKey host_key_;
  std::string server_version_;
  const std::unique_ptr<Lane> lane_;
  std::weak_ptr<SshConnection> self_;  // for channels, which keep the connection alive
};

}  // namespace bt::ssh
