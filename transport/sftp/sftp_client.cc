#include "transport/sftp/sftp_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "transport/sftp/errors.h"
#include "transport/sftp/packet.h"

namespace bt::sftp {
namespace {

// A request may take this many times its allowance while bytes come in: one that is never answered must end as well.
constexpr int kMostAllowances = 10;

Error WithFate(Error error, Fate fate) {
  error.fate = fate;
  return error;
}

}  // namespace

Result<std::unique_ptr<SftpClient>> SftpClient::Open(const OpContext& ctx, std::unique_ptr<MessageChannel> channel) {
  std::unique_ptr<SftpClient> client(new SftpClient(std::move(channel)));
  TRY(client->Greet(ctx));
  return client;
}

SftpClient::SftpClient(std::unique_ptr<MessageChannel> channel)
    : last_received_(Clock::now().time_since_epoch().count()),
      splitter_([this](UninitializedBytes message) { return OnMessage(std::move(message)); }),
      channel_(channel.get()),
      owned_channel_(std::move(channel)) {}

SftpClient::~SftpClient() { Close(Error{Code::kDisconnected, "the SFTP session was closed", "sftp.closed"}); }

Status SftpClient::Greet(const OpContext& ctx) {
  channel_->Start(*this);
  std::shared_ptr<Slot> asked_limits;
  {
    MutexLock lock(send_mutex_);
    ++sent_;
    version_->sent_at = Clock::now();
    channel_->Send(InitMessage());
    asked_limits = SendLocked(LimitsRequest(), false);
  }
  Call limits_call(*this, std::move(asked_limits));

  const Reply greeting = TRY(Await(ctx, *version_));
  const VersionMessage version = TRY(Checked(DecodeVersion(greeting.whole())));
  if (version.version != kProtocolVersion) {
    return Error{Code::kUnsupported,
                 fmt::format("the server speaks version {} of SFTP, and version {} is needed", version.version,
                             kProtocolVersion),
                 "sftp.version"};
  }
  server_ = ParseExtensions(version);

  Result<LimitsReply> limits = Take(ctx, std::move(limits_call), DecodeLimits);
  if (limits.ok()) {
    ApplyLimits(*limits, server_);
  } else if (limits.error().fate != Fate::kAnswered) {
    return std::move(limits).error();
  }
  return {};
}

std::shared_ptr<SftpClient::Slot> SftpClient::SendLocked(Request request, bool abandoned) {
  auto slot = std::make_shared<Slot>();
  slot->expected = request.expected_reply;
  slot->sent_at = Clock::now();
  {
    MutexLock slot_lock(slot->mutex);
    slot->abandoned = abandoned;
  }
  if (request.message.size() > kMaxRequestBytes) {
    Complete(*slot, Error{Code::kTooBig, "the request is larger than SFTP servers accept", "sftp.request-too-big",
                          Fate::kNotSent});
    return slot;
  }
  {
    MutexLock lock(mutex_);
    if (closed_) {
      Error why = WithFate(*closed_, Fate::kNotSent);
      lock.Unlock();
      Complete(*slot, std::move(why));
      return slot;
    }
    while (in_flight_.contains(next_id_)) {
      ++next_id_;
    }
    slot->sequence = sent_++;
    StoreU32(request.message.data() + Request::kIdOffset, next_id_);
    in_flight_.emplace(next_id_++, slot);
  }
  // Should the end come here, OnClosed has already answered the slot, and the channel drops the message.
  channel_->Send(std::move(request.message));
  return slot;
}

SftpClient::Call SftpClient::Submit(Request request) {
  MutexLock lock(send_mutex_);
  return Call(*this, SendLocked(std::move(request), false));
}

std::vector<SftpClient::Call> SftpClient::Submit(std::vector<Request> requests) {
  std::vector<Call> calls;
  calls.reserve(requests.size());
  MutexLock lock(send_mutex_);
  for (Request& request : requests) {
    calls.push_back(Call(*this, SendLocked(std::move(request), false)));
  }
  return calls;
}

void SftpClient::SubmitAndForget(Request request) {
  MutexLock lock(send_mutex_);
  SendLocked(std::move(request), true);
}

void SftpClient::Close(Error why) {
  {
    // The channel ends a little later, on its own thread; what is submitted from now on must not slip through.
    MutexLock lock(mutex_);
    if (!closed_) {
      closed_ = why;
    }
  }
  channel_->Abort(std::move(why));
}

bool SftpClient::closed() const {
  MutexLock lock(mutex_);
  return closed_.has_value();
}

std::size_t SftpClient::in_flight() const {
  MutexLock lock(mutex_);
  return in_flight_.size();
}

void SftpClient::OnBytes(std::span<const std::byte> bytes) {
  last_received_.store(Clock::now().time_since_epoch().count());
  if (broken_) {
    return;
  }
  Status fed = splitter_.Feed(bytes);
  if (!fed) {
    broken_ = true;
    channel_->Abort(std::move(fed).error());
  }
}

Status SftpClient::OnMessage(UninitializedBytes message) {
  if (message.size() < Reply::kHeaderBytes) {
    return Malformed("reply");
  }
  Reply reply(std::move(message));
  if (!greeted_) {
    if (reply.type() != MessageType::kVersion) {
      return Malformed("greeting");
    }
    greeted_ = true;
    Complete(*version_, std::move(reply));
    return {};
  }
  const std::uint32_t id = reply.id();
  std::shared_ptr<Slot> slot;
  {
    MutexLock lock(mutex_);
    const auto found = in_flight_.find(id);
    if (found == in_flight_.end()) {
      return Error{Code::kProtocol, fmt::format("the server answered request {}, which was not made", id),
                   "sftp.bad-id"};
    }
    if (reply.type() != MessageType::kStatus && reply.type() != found->second->expected) {
      return Error{Code::kProtocol,
                   fmt::format("the server answered with message type {} where {} was due",
                               static_cast<int>(reply.type()), static_cast<int>(found->second->expected)),
                   "sftp.bad-type"};
    }
    slot = std::move(found->second);
    in_flight_.erase(found);
  }
  Complete(*slot, std::move(reply));
  return {};
}

void SftpClient::OnClosed(const Error& why, std::uint64_t messages_started) {
  std::unordered_map<std::uint32_t, std::shared_ptr<Slot>> unanswered;
  {
    MutexLock lock(mutex_);
    closed_ = why;
    unanswered.swap(in_flight_);
  }
  for (const auto& [id, slot] : unanswered) {
    Complete(*slot, WithFate(why, slot->sequence < messages_started ? Fate::kUnknown : Fate::kNotSent));
  }
  if (!greeted_) {
    greeted_ = true;
    Complete(*version_, WithFate(why, messages_started > 0 ? Fate::kUnknown : Fate::kNotSent));
  }
}

void SftpClient::Complete(Slot& slot, Result<Reply> answer) {
  {
    MutexLock lock(slot.mutex);
    if (!slot.abandoned) {
      slot.answer.emplace(std::move(answer));
      if (std::exchange(slot.waited_for, false)) {
        --waiting_;
      }
      slot.answered.NotifyAll();
      return;
    }
  }
  if (answer.ok()) {
    CloseHandleOf(*answer);
  }
}

void SftpClient::CloseHandleOf(const Reply& reply) {
  if (reply.type() != MessageType::kHandle) {
    return;
  }
  const Result<std::string> handle = DecodeHandle(reply);
  if (handle.ok()) {
    SubmitAndForget(CloseRequest(*handle));
  }
}

TimePoint SftpClient::ExtendedDeadline(const OpContext& ctx, const Slot& slot) const {
  const Duration allowance = ctx.deadline == TimePoint::max() ? Duration::zero() : ctx.deadline - slot.sent_at;
  const TimePoint heard = last_received();
  if (allowance <= Duration::zero() || heard <= slot.sent_at) {
    return ctx.deadline;
  }
  return std::min(heard + allowance, slot.sent_at + kMostAllowances * allowance);
}

Result<Reply> SftpClient::Await(const OpContext& ctx, Slot& slot) {
  MutexLock lock(slot.mutex);
  while (!slot.answer) {
    const OpContext extended{ExtendedDeadline(ctx, slot), ctx.cancel};
    Status going_on = extended.Check(Fate::kUnknown);
    if (!going_on) {
      if (std::exchange(slot.waited_for, false)) {
        --waiting_;
      }
      return std::move(going_on).error();
    }
    if (!std::exchange(slot.waited_for, true)) {
      ++waiting_;
    }
    slot.answered.Wait(slot.mutex, extended);
  }
  return std::move(*slot.answer);
}

void SftpClient::Abandon(Slot& slot) {
  std::optional<Result<Reply>> answer;
  {
    MutexLock lock(slot.mutex);
    slot.abandoned = true;
    answer.swap(slot.answer);
  }
  if (answer && answer->ok()) {
    CloseHandleOf(**answer);
  }
}

SftpClient::Call& SftpClient::Call::operator=(Call&& other) noexcept {
  Call dropped(std::move(*this));
  client_ = other.client_;
  slot_ = std::move(other.slot_);
  return *this;
}

SftpClient::Call::~Call() {
  if (slot_) {
    client_->Abandon(*slot_);
  }
}

Result<Reply> SftpClient::Call::Await(const OpContext& ctx) {
  Result<Reply> answer = client_->Await(ctx, *slot_);
  const std::shared_ptr<Slot> slot = std::move(slot_);
  if (!answer.ok() && answer.error().fate == Fate::kUnknown) {
    client_->Abandon(*slot);  // nothing to do when it was the channel that ended
  }
  return answer;
}

}  // namespace bt::sftp
