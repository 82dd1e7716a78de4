// One SFTP session on one channel: any number of requests in flight, answered by id.
//
// Requests are submitted alone or as a batch and awaited one by one, so a round trip can carry as many requests as its
// maker likes. Replies are owned buffers; they are decoded and copied on the thread that awaits them, never on the
// channel's thread. An abandoned request (its Call was dropped before the answer) stays known by its id: the late reply
// is thrown away, and a late HANDLE is answered with a CLOSE, so that nothing stays open at the server.
//
// A server that breaks the protocol (impossible length, unknown id, reply of the wrong type, malformed reply) ends the
// channel with kProtocol; every waiter gets that error, with the fate of its own request.
//
// Threading: every method may be called from any thread. Calls and everything else made from the client must be gone,
// and every Await() returned, before the client is destroyed; Close() makes them return. The destructor waits for the
// channel's thread and must not run on it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include "transport/base/op_context.h"
#include "transport/base/result.h"
#include "transport/base/sync.h"
#include "transport/sftp/extensions.h"
#include "transport/sftp/message_channel.h"
#include "transport/sftp/message_splitter.h"
#include "transport/sftp/replies.h"
#include "transport/sftp/requests.h"

namespace bt::sftp {

class SftpClient final : private MessageChannel::Receiver {
 public:
  // Starts the channel, greets the server and learns what it offers: 1 RT, since limits@openssh.com is asked without
  // waiting for VERSION (a server without it says so).
  static Result<std::unique_ptr<SftpClient>> Open(const OpContext& ctx, std::unique_ptr<MessageChannel> channel);
  ~SftpClient() override;
  SftpClient(const SftpClient&) = delete;
  SftpClient& operator=(const SftpClient&) = delete;

  const ServerFeatures& server() const { return server_; }

  class Call;

  // Never block. After the end of the channel the call is answered at once, with the reason and kNotSent.
  Call Submit(Request request);
  // In this order, with nothing of other threads in between.
  std::vector<Call> Submit(std::vector<Request> requests);
  // For CLOSE: nobody waits for the reply.
  void SubmitAndForget(Request request);

  // Awaits `call` and decodes its reply; a malformed one ends the channel.
  template <typename Decode>
  std::invoke_result_t<Decode, const Reply&> Take(const OpContext& ctx, Call call, Decode decode);
  // One request, one round trip. A context that is over already leaves nothing at the server (kNotSent).
  template <typename Decode>
  std::invoke_result_t<Decode, const Reply&> Ask(const OpContext& ctx, Request request, Decode decode);

  // For decoders that need the reply to live on: passes `decoded` through, and ends the channel when it is kProtocol.
  template <typename T>
  Result<T> Checked(Result<T> decoded);

  // Ends the channel. Waiters return soon, with `why`.
  void Close(Error why);

  bool closed() const;
  std::size_t in_flight() const;  // requests without a reply, the abandoned ones too
  // Threads blocked in Await() whose answer has not come.
  std::size_t waiting() const { return waiting_.load(); }
  // When the server last gave a sign of life; the time of Open() before the first.
  TimePoint last_received() const { return TimePoint(Duration(last_received_.load())); }

 private:
  // One request and the place for its answer, shared by the table of requests in flight and the Call.
  struct Slot {
    std::uint64_t sequence = 0;  // how many messages were sent before this one
    MessageType expected = MessageType::kStatus;
    TimePoint sent_at{};

    Mutex mutex;
    CondVar answered;
    std::optional<Result<Reply>> answer GUARDED_BY(mutex);
    bool abandoned GUARDED_BY(mutex) = false;
    bool waited_for GUARDED_BY(mutex) = false;
  };

  explicit SftpClient(std::unique_ptr<MessageChannel> channel);

  // Under send_mutex_, so that sequence numbers follow the order of sending.
  std::shared_ptr<Slot> SendLocked(Request request, bool abandoned) REQUIRES(send_mutex_);
  Status Greet(const OpContext& ctx);
  Status OnMessage(UninitializedBytes message);
  void Complete(Slot& slot, Result<Reply> answer);
  void CloseHandleOf(const Reply& reply);
  Result<Reply> Await(const OpContext& ctx, Slot& slot);
  // The deadline of a request that was sent: a slow but living transfer is not a dead one, so it counts anew from the
  // last bytes that came in, within bounds.
  TimePoint ExtendedDeadline(const OpContext& ctx, const Slot& slot) const;
  void Abandon(Slot& slot);

  std::span<std::byte> Room() override { return broken_ ? std::span<std::byte>() : splitter_.Room(); }
  void OnBytes(std::span<const std::byte> bytes) override;
  void OnClosed(const Error& why, std::uint64_t messages_started) override;

  ServerFeatures server_;  // constant once Open() has returned
  std::atomic<std::size_t> waiting_{0};
  std::atomic<Duration::rep> last_received_;

  // The channel's thread only.
  MessageSplitter splitter_;
  bool greeted_ = false;
  bool broken_ = false;

  const std::shared_ptr<Slot> version_ = std::make_shared<Slot>();

  Mutex send_mutex_;  // held while a message is given to the channel (which does not block); before mutex_
  std::uint64_t sent_ GUARDED_BY(send_mutex_) = 0;

  mutable Mutex mutex_;
  std::unordered_map<std::uint32_t, std::shared_ptr<Slot>> in_flight_ GUARDED_BY(mutex_);
  std::uint32_t next_id_ GUARDED_BY(mutex_) = 1;
  std::optional<Error> closed_ GUARDED_BY(mutex_);

  // Last: its destructor ends the channel's thread while everything above still lives. `channel_` stays valid for that
  // thread meanwhile.
  MessageChannel* const channel_;
  std::unique_ptr<MessageChannel> owned_channel_;
};

// One request on its way. Dropping it abandons the request.
class SftpClient::Call {
 public:
  Call(Call&&) noexcept = default;
  Call& operator=(Call&& other) noexcept;
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call();

  // Blocks until the reply, the deadline or the cancellation. While bytes of any reply come in, the deadline counts
  // from the last of them, up to ten times as long in all. Errors: the context's and the channel's end; a STATUS is a
  // reply. At most once.
  Result<Reply> Await(const OpContext& ctx);

 private:
  friend class SftpClient;
  Call(SftpClient& client, std::shared_ptr<Slot> slot) : client_(&client), slot_(std::move(slot)) {}

  SftpClient* client_;
  std::shared_ptr<Slot> slot_;
};

template <typename T>
Result<T> SftpClient::Checked(Result<T> decoded) {
  if (!decoded.ok() && decoded.error().code == Code::kProtocol) {
    Close(decoded.error());
  }
  return decoded;
}

template <typename Decode>
std::invoke_result_t<Decode, const Reply&> SftpClient::Take(const OpContext& ctx, Call call, Decode decode) {
  const Reply reply = TRY(call.Await(ctx));
  return Checked(decode(reply));
}

template <typename Decode>
std::invoke_result_t<Decode, const Reply&> SftpClient::Ask(const OpContext& ctx, Request request, Decode decode) {
  TRY(ctx.Check(Fate::kNotSent));
  return Take(ctx, Submit(std::move(request)), std::move(decode));
}

}  // namespace bt::sftp
