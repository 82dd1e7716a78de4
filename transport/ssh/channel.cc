#include "transport/ssh/channel.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "transport/ssh/errors.h"

namespace bt::ssh {
namespace {

// libssh2's receive buffer holds one packet of 35,000 bytes at most, so the server must not send larger ones.
constexpr unsigned int kPacketSize = 32768;

// Handed to the lane's stream by one channel in one pass: enough to keep a fast link busy while another channel has its
// turn.
constexpr std::size_t kWriteBudget = 256 * 1024;

// What may wait unread in libssh2, and as much again for what small packets cost.
constexpr std::size_t kMemoryPerWindow = 2;

constexpr std::size_t kMaxStderrText = 512;

// How long the exit status may follow the end of data. They come together; this is for servers that forget one.
constexpr std::chrono::milliseconds kExitStatusGrace{1000};

}  // namespace

Channel::Channel(ChannelRequest request, std::shared_ptr<Mailbox> mailbox)
    : request_(std::move(request)), mailbox_(std::move(mailbox)) {}

Status Channel::Pump(Session& session, bool may_open, std::span<std::byte> scratch, TimePoint now) {
  wants_more_ = false;
  TakeMail();
  if (phase_ == Phase::kWaiting || phase_ == Phase::kOpening) {
    TRY(Open(session, may_open));
  }
  if (phase_ == Phase::kStarting) {
    TRY(StartProgram(session));
  }
  if (phase_ == Phase::kOpen || phase_ == Phase::kEnding) {
    TRY(MoveBytes(session, scratch, now));
  }
  if (phase_ == Phase::kClosing) {
    Free(session);
  }
  return {};
}

void Channel::TakeMail() {
  Mailbox::Contents mail = mailbox_->Take();
  receiver_ = mail.receiver;
  for (Mailbox::Message& message : mail.messages) {
    outgoing_.Push(std::move(message));
  }
  if (mail.left && !left_) {
    left_ = true;
    if (!close_reason_) {
      close_reason_ = Error{Code::kInterrupted, "the connection was closed by bt-mount", "ssh.closed", Fate::kUnknown};
    }
    if (phase_ == Phase::kWaiting) {
      phase_ = Phase::kFreed;
    } else if (phase_ != Phase::kOpening && phase_ != Phase::kFreed) {
      phase_ = Phase::kClosing;  // an opening channel must be opened before it can be closed
    }
  }
  if (close_reason_) {
    TellClosed(*close_reason_);
  }
  if (left_ && !finished_) {
    receiver_ = nullptr;
    finished_ = true;
    mailbox_->Finish();
  }
}

Status Channel::Open(Session& session, bool may_open) {
  if (phase_ == Phase::kWaiting) {
    if (!may_open) {
      return {};
    }
    phase_ = Phase::kOpening;
    session.heap().RaiseLimit(kMemoryPerWindow * request_.receive_window);
  }
  static constexpr char kType[] = "session";
  handle_ =
      libssh2_channel_open_ex(session.get(), kType, sizeof kType - 1, request_.receive_window, kPacketSize, nullptr, 0);
  if (handle_ != nullptr) {
    phase_ = left_ ? Phase::kClosing : Phase::kStarting;
    return {};
  }
  const int status = libssh2_session_last_errno(session.get());
  if (status == LIBSSH2_ERROR_EAGAIN) {
    return {};
  }
  Error error = SessionError(session.get(), status, "opening a channel in the container");
  if (status != LIBSSH2_ERROR_CHANNEL_FAILURE) {
    return error;
  }
  error.text += "; its SSH server may limit the channels of one connection (MaxSessions)";
  Freed(session);
  close_reason_ = error;
  TellOpened(std::move(error));
  return {};
}

Status Channel::StartProgram(Session& session) {
  const int status =
      libssh2_channel_process_startup(handle_, request_.kind.c_str(), static_cast<unsigned int>(request_.kind.size()),
                                      request_.argument.c_str(), static_cast<unsigned int>(request_.argument.size()));
  if (status == 0) {
    phase_ = Phase::kOpen;
    TellOpened({});
    return {};
  }
  const bool closed_instead = status == LIBSSH2_ERROR_EAGAIN && libssh2_channel_eof(handle_) == 1;
  if (status == LIBSSH2_ERROR_EAGAIN && !closed_instead) {
    return {};
  }
  if (status != LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED && !closed_instead) {
    return SessionError(session.get(), status, "starting a program in the container");
  }
  close_reason_ = StartRefused();
  TellOpened(*close_reason_);
  phase_ = Phase::kClosing;
  return {};
}

Status Channel::MoveBytes(Session& session, std::span<std::byte> scratch, TimePoint now) {
  TRY(Read(session, scratch, now));
  TRY(DrainStderr(session, scratch));
  if (phase_ == Phase::kEnding) {
    const bool closed = libssh2_channel_wait_closed(handle_) == 0;
    if (closed || now >= *ending_until_) {
      ending_until_.reset();
      close_reason_ = ProgramEnded(session);
      TellClosed(*close_reason_);
      phase_ = Phase::kClosing;
      return {};
    }
  }
  return phase_ == Phase::kOpen ? Write(session) : Status();
}

Status Channel::Read(Session& session, std::span<std::byte> scratch, TimePoint now) {
  // Until the receiver starts, what comes stays with libssh2: at most the receive window.
  while (receiver_ != nullptr && phase_ == Phase::kOpen) {
    const std::span<std::byte> wanted = receiver_->Room();
    const std::span<std::byte> room = wanted.empty() ? scratch : wanted;
    const ssize_t got = libssh2_channel_read_ex(handle_, 0, reinterpret_cast<char*>(room.data()), room.size());
    if (got == LIBSSH2_ERROR_EAGAIN) {
      break;
    }
    if (got < 0) {
      return SessionError(session.get(), static_cast<int>(got), "reading from the container");
    }
    if (got > 0) {
      receiver_->OnBytes(room.first(static_cast<std::size_t>(got)));
    } else if (libssh2_channel_eof(handle_) == 1) {
      phase_ = Phase::kEnding;
      ending_until_ = now + kExitStatusGrace;
    } else {
      break;
    }
  }
  return {};
}

// A server may write to the error stream although SFTP does not use it. It shares the receive window, so it must be
// read; libssh2's mode to ignore it has a use after free.
Status Channel::DrainStderr(Session& session, std::span<std::byte> scratch) {
  for (;;) {
    const ssize_t got = libssh2_channel_read_ex(handle_, SSH_EXTENDED_DATA_STDERR,
                                                reinterpret_cast<char*>(scratch.data()), scratch.size());
    if (got == LIBSSH2_ERROR_EAGAIN || got == 0) {
      return {};
    }
    if (got < 0) {
      return SessionError(session.get(), static_cast<int>(got), "reading from the container");
    }
    const std::size_t room = kMaxStderrText - std::min(kMaxStderrText, stderr_text_.size());
    stderr_text_.append(reinterpret_cast<const char*>(scratch.data()), std::min(room, static_cast<std::size_t>(got)));
  }
}

Status Channel::Write(Session& session) {
  std::size_t written = 0;
  while (!session.stream().congested()) {
    const std::span<const std::byte> piece = outgoing_.Next();
    if (piece.empty()) {
      return {};
    }
    if (written >= kWriteBudget) {
      wants_more_ = true;
      return {};
    }
    const ssize_t put = libssh2_channel_write_ex(handle_, 0, reinterpret_cast<const char*>(piece.data()), piece.size());
    if (put == LIBSSH2_ERROR_EAGAIN || put == 0) {
      return {};  // the server's window is full, or keys are being exchanged: bytes must come first
    }
    if (put < 0) {
      return SessionError(session.get(), static_cast<int>(put), "writing to the container");
    }
    outgoing_.Advance(static_cast<std::size_t>(put));
    written += static_cast<std::size_t>(put);
  }
  return {};  // the stream takes nothing now; room in it is what wakes the lane
}

void Channel::Free(Session& session) {
  if (libssh2_channel_free(handle_) != LIBSSH2_ERROR_EAGAIN) {
    Freed(session);
  }
}

void Channel::Freed(Session& session) {
  handle_ = nullptr;
  phase_ = Phase::kFreed;
  session.heap().LowerLimit(kMemoryPerWindow * request_.receive_window);
}

void Channel::LaneEnded(const Error& why) {
  handle_ = nullptr;  // freed with the session
  wants_more_ = false;
  ending_until_.reset();
  if (phase_ == Phase::kWaiting || phase_ == Phase::kOpening || phase_ == Phase::kStarting) {
    TellOpened(why);
  }
  phase_ = Phase::kFreed;
  if (!close_reason_) {
    close_reason_ = why;
  }
  TakeMail();
}

void Channel::TellOpened(Status result) { mailbox_->SetOpened(std::move(result)); }

void Channel::TellClosed(const Error& why) {
  if (told_closed_) {
    return;
  }
  mailbox_->Close();
  if (receiver_ == nullptr) {
    return;
  }
  told_closed_ = true;
  receiver_->OnClosed(why, outgoing_.started());
  outgoing_.Clear();
}

Error Channel::StartRefused() const {
  if (request_.kind == "subsystem" && request_.argument == "sftp") {
    return Error{Code::kUnsupported,
                 "the container's SSH server has no SFTP subsystem, so its files cannot be mounted; install "
                 "openssh-sftp-server (or your distribution's name for it) in the image and start the job again",
                 "ssh.no-sftp", Fate::kNotSent};
  }
  return Error{
      Code::kUnsupported,
      fmt::format("the container's SSH server refused the {} \"{}\"", request_.kind, Printable(request_.argument)),
      "ssh.request-refused", Fate::kNotSent};
}

Error Channel::ProgramEnded(Session& session) const {
  std::string text =
      request_.argument == "sftp" ? "the SFTP server in the container ended" : "the program in the container ended";
  if (const int status = libssh2_channel_get_exit_status(handle_); status != 0) {
    text += fmt::format(" with status {}", status);
  }
  char* signal = nullptr;
  if (libssh2_channel_get_exit_signal(handle_, &signal, nullptr, nullptr, nullptr, nullptr, nullptr) == 0 &&
      signal != nullptr) {
    text += fmt::format(" by signal {}", Printable(signal));
    libssh2_free(session.get(), signal);
  }
  if (const std::string words = Printable(stderr_text_); !words.empty()) {
    text += fmt::format(": {}", words);
  }
  return Error{Code::kDisconnected, std::move(text), "ssh.channel-ended", Fate::kUnknown};
}

}  // namespace bt::ssh
