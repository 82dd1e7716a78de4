// A message channel to a real OpenSSH sftp-server, run as a child process on a socket pair. No SSH, no delay: what is
// above the channel meets the true server. It counts requests, can count round trips exactly, and can be cut.
//
// Threading: as MessageChannel; the counters may be read from any thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "transport/base/result.h"
#include "transport/base/sync.h"
#include "transport/base/unique_fd.h"
#include "transport/sftp/message_channel.h"
#include "transport/sftp/message_splitter.h"
#include "transport/sftp/protocol.h"

namespace bt::test {

struct PipeOptions {
  // For sftp-server(8): {"-R"}, {"-P", "posix-rename,hardlink"}, {"-u", "022"}.
  std::vector<std::string> arguments{};
  // The channel ends (kDisconnected) after this many bytes from the server, in the middle of whatever it is.
  std::optional<std::uint64_t> cut_after_bytes{};
};

class PipeChannel final : public sftp::MessageChannel {
 public:
  static Result<std::unique_ptr<PipeChannel>> Spawn(PipeOptions options = {});
  ~PipeChannel() override;  // ends the server and reaps it
  PipeChannel(const PipeChannel&) = delete;
  PipeChannel& operator=(const PipeChannel&) = delete;

  void Start(Receiver& receiver) override;
  void Send(std::vector<std::byte> message) override;
  void Abort(Error why) override;

  // Ends the channel as a broken link would: kDisconnected.
  void Cut();

  // Requests sent since the last call, by type.
  std::map<sftp::MessageType, int> TakeRequests();

  // Counts round trips until StopTurns(): replies are held back until the client waits for one of them and the server
  // has answered everything that was sent; delivering them is one turn. Exact for one calling thread at a time.
  // `client_waits`: SftpClient::waiting() > 0.
  void StartTurns(std::function<bool()> client_waits);
  int StopTurns();

 private:
  PipeChannel(PipeOptions options, UniqueFd socket, UniqueFd wake, pid_t server);

  void Run(const std::stop_token& stop);
  bool WriteQueued();
  bool ReadAvailable();
  void Deliver();
  void End();
  void Wake() const;

  const PipeOptions options_;
  const UniqueFd wake_;  // eventfd
  const pid_t server_;

  // The channel's thread only.
  UniqueFd socket_;
  Receiver* receiver_ = nullptr;
  sftp::MessageSplitter reply_counter_;
  std::uint64_t replies_ = 0;
  std::uint64_t bytes_received_ = 0;
  std::vector<std::byte> held_;
  std::vector<std::byte> writing_;
  std::size_t written_ = 0;
  std::uint64_t started_ = 0;

  Mutex mutex_;
  std::deque<std::vector<std::byte>> queue_ GUARDED_BY(mutex_);
  std::uint64_t sent_ GUARDED_BY(mutex_) = 0;
  std::map<sftp::MessageType, int> requests_ GUARDED_BY(mutex_);
  std::function<bool()> client_waits_ GUARDED_BY(mutex_);
  int turns_ GUARDED_BY(mutex_) = 0;
  std::optional<Error> aborted_ GUARDED_BY(mutex_);

  std::jthread thread_;
};

}  // namespace bt::test
