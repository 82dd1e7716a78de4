// The I/O thread's half of one SSH channel: opens it, asks for its program, moves bytes, and tells its end.
//
// Threading: the lane's I/O thread, except mailbox(), which is the way to the user's half.
#pragma once

#include <libssh2.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "transport/base/op_context.h"
#include "transport/base/result.h"
#include "transport/ssh/mailbox.h"
#include "transport/ssh/outgoing_queue.h"
#include "transport/ssh/session.h"

namespace bt::ssh {

// What shall run at the far end of a channel.
struct ChannelRequest {
  std::string kind;      // "subsystem" or "exec"
  std::string argument;  // the subsystem's name or the command
  std::uint32_t receive_window = 0;
};

class Channel {
 public:
  Channel(ChannelRequest request, std::shared_ptr<Mailbox> mailbox);
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // Moves everything forward that can be moved without waiting. `may_open`: no other channel is being opened now
  // (libssh2 has one state machine for that). `scratch` is for received bytes. An error is the lane's end.
  Status Pump(Session& session, bool may_open, std::span<std::byte> scratch, TimePoint now);

  // The lane has ended (its session is already freed) for the reason `why`. Also called later, when the user has done
  // something: idempotent.
  void LaneEnded(const Error& why);

  bool opening() const { return phase_ == Phase::kOpening; }
  // Bytes can be taken from the transport on behalf of this channel.
  bool pumps_transport() const { return handle_ != nullptr || opening(); }
  // Work was left because a limit was reached: pump again before sleeping.
  bool wants_more() const { return wants_more_; }
  // Pump() wants to be called at this time even if nothing happens.
  std::optional<TimePoint> wake_at() const { return ending_until_; }
  // The user's half has gone and the channel is freed: forget this object.
  bool done() const { return phase_ == Phase::kFreed && finished_; }

 private:
  enum class Phase {
    kWaiting,   // for its turn to be opened
    kOpening,   // waits for the server's answer to CHANNEL_OPEN
    kStarting,  // waits for the answer to the subsystem or exec request
    kOpen,
    kEnding,   // the server sent the end of data; its exit status may follow
    kClosing,  // libssh2_channel_free is to be repeated
    kFreed,
  };

  void TakeMail();
  Status Open(Session& session, bool may_open);
  Status StartProgram(Session& session);
  Status MoveBytes(Session& session, std::span<std::byte> scratch, TimePoint now);
  Status Read(Session& session, std::span<std::byte> scratch, TimePoint now);
  Status DrainStderr(Session& session, std::span<std::byte> scratch);
  Status Write(Session& session);
  void Free(Session& session);
  void Freed(Session& session);
  void TellOpened(Status result);
  void TellClosed(const Error& why);
  Error StartRefused() const;
  Error ProgramEnded(Session& session) const;

  const ChannelRequest request_;
  const std::shared_ptr<Mailbox> mailbox_;

  Phase phase_ = Phase::kWaiting;
  LIBSSH2_CHANNEL* handle_ = nullptr;
  sftp::MessageChannel::Receiver* receiver_ = nullptr;
  std::optional<Error> close_reason_;  // known, perhaps not yet told: the receiver may start later
  bool told_closed_ = false;
  bool left_ = false;
  bool finished_ = false;
  bool wants_more_ = false;
  std::optional<TimePoint> ending_until_;

  OutgoingQueue outgoing_;
  std::string stderr_text_;  // the beginning of what the program said on its error stream
};

}  // namespace bt::ssh
