// One SSH connection and the thread that owns it: the libssh2 session, its channels and the byte stream are touched by
// that thread only. It sleeps in poll() on the stream and on a doorbell.
//
// After the connection has ended the thread stays until the lane is destroyed, to tell the end to channels whose
// receiver starts late.
//
// Threading: public methods from any thread except the lane's own (receivers may call Ring and Stop).
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "transport/base/byte_stream.h"
#include "transport/base/op_context.h"
#include "transport/base/sync.h"
#include "transport/ssh/certificate_auth.h"
#include "transport/ssh/channel.h"
#include "transport/ssh/doorbell.h"
#include "transport/ssh/mailbox.h"
#include "transport/ssh/session.h"
#include "transport/ssh/stream_buffer.h"

namespace bt::ssh {

class Lane {
 public:
  struct Server {
    HostKey host_key;
    std::string version;
  };

  // The login is used only until WaitUntilReady() has returned.
  Lane(std::unique_ptr<ByteStream> stream, CertificateLogin login);
  // Ends the connection; the channels' receivers are told before.
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  // Blocks until logged in, refused, or the context ends. In the last two cases the lane is of no more use.
  Result<Server> WaitUntilReady(const OpContext& ctx);

  // Queues a channel. Its mailbox tells what becomes of it.
  void AddChannel(ChannelRequest request, std::shared_ptr<Mailbox> mailbox);
  // Something was put into a mailbox.
  void Ring() { doorbell_.Ring(); }
  // Ends the connection for the reason `why`, without waiting. The first reason counts.
  void Stop(Error why);

  // Why the connection ended; nothing while it lives.
  std::optional<Error> ended() const;

  const Counters& counters() const { return counters_; }
  // True on the lane's own thread, which must not wait for itself.
  bool OnOwnThread() const { return std::this_thread::get_id() == thread_.get_id(); }

 private:
  void Run();
  Result<Server> Connect();
  template <typename Step>
  Status Drive(Step step);
  Status CheckStopped() const;
  Error StreamFailure(std::string_view during) const;

  Error Serve();               // until the connection ends
  Status Pass(TimePoint now);  // everything once
  void Sleep(bool listen);     // until the stream or the doorbell has something
  void End(const Error& why, bool logged_in);
  void ServeTheDead(const Error& why);  // until destroyed
  void TakeNewChannels();

  Counters counters_;
  const std::unique_ptr<ByteStream> stream_;
  Doorbell doorbell_;

  // The lane's thread only.
  std::optional<CertificateLogin> login_;
  StreamBuffer buffer_;
  std::unique_ptr<Session> session_;
  std::vector<std::unique_ptr<Channel>> channels_;
  std::vector<std::byte> scratch_;

  std::atomic<bool> destroyed_{false};
  mutable Mutex mutex_;
  CondVar changed_;
  std::optional<Result<Server>> ready_ GUARDED_BY(mutex_);
  std::optional<Error> stopped_ GUARDED_BY(mutex_);  // why somebody wants the end
  std::optional<Error> ended_ GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<Channel>> new_channels_ GUARDED_BY(mutex_);

  std::jthread thread_;
};

}  // namespace bt::ssh
