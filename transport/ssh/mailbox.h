// What the two sides of a channel leave for each other: its user on any thread, and the lane's I/O thread.
//
// Threading: any thread. No method calls the receiver.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "transport/base/result.h"
#include "transport/base/sync.h"
#include "transport/sftp/message_channel.h"

namespace bt::ssh {

class Mailbox {
 public:
  using Message = std::vector<std::byte>;

  // --- The user's side. Ring the lane's doorbell after each of these.
  void Start(sftp::MessageChannel::Receiver& receiver);
  void Send(Message message);
  // The user goes: the I/O thread calls the receiver's OnClosed, if that is still to do, and then Finish().
  void Leave();

  // Blocks until the channel is open, was refused, or the context ends; in the last case the caller must Leave().
  Status WaitUntilOpen(const OpContext& ctx);
  // Blocks until the receiver will not be called any more. Only after Leave().
  void WaitUntilFinished();

  // --- The I/O thread's side.
  struct Contents {
    std::vector<Message> messages;                       // since the last Take
    sftp::MessageChannel::Receiver* receiver = nullptr;  // once started
    bool left = false;
  };
  Contents Take();
  void SetOpened(Status result);  // once
  // Messages are dropped from now on.
  void Close();
  void Finish();

 private:
  Mutex mutex_;
  CondVar changed_;
  std::vector<Message> messages_ GUARDED_BY(mutex_);
  sftp::MessageChannel::Receiver* receiver_ GUARDED_BY(mutex_) = nullptr;
  std::optional<Status> opened_ GUARDED_BY(mutex_);
  bool closed_ GUARDED_BY(mutex_) = false;
  bool left_ GUARDED_BY(mutex_) = false;
  bool finished_ GUARDED_BY(mutex_) = false;
};

}  // namespace bt::ssh
