#include "transport/ssh/ssh_connection.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "transport/base/sync.h"
#include "transport/ssh/lane.h"

namespace bt::ssh {
namespace {

// The user's half of a channel.
class LaneChannel final : public sftp::MessageChannel {
 public:
  LaneChannel(std::shared_ptr<SshConnection> connection, Lane& lane, std::shared_ptr<Mailbox> mailbox)
      : connection_(std::move(connection)), lane_(lane), mailbox_(std::move(mailbox)) {}

  ~LaneChannel() override {
    assert(!lane_.OnOwnThread());
    mailbox_->Leave();
    lane_.Ring();
    mailbox_->WaitUntilFinished();
  }

  void Start(Receiver& receiver) override {
    mailbox_->Start(receiver);
    lane_.Ring();
  }

  void Send(std::vector<std::byte> message) override {
    mailbox_->Send(std::move(message));
    lane_.Ring();
  }

  void Abort(Error why) override { lane_.Stop(std::move(why)); }

 private:
  const std::shared_ptr<SshConnection> connection_;  // keeps lane_ alive
  Lane& lane_;
  const std::shared_ptr<Mailbox> mailbox_;
};

// Gathers a command's output.
class OutputCollector final : public sftp::MessageChannel::Receiver {
 public:
  explicit OutputCollector(std::size_t limit) : limit_(limit) {}

  void OnBytes(std::span<const std::byte> bytes) override {
    const MutexLock lock(mutex_);
    const std::size_t room = limit_ + 1 - std::min(limit_ + 1, output_.size());
    output_.append(reinterpret_cast<const char*>(bytes.data()), std::min(room, bytes.size()));
    if (output_.size() > limit_) {
      changed_.NotifyAll();
    }
  }

  void OnClosed(const Error& why, std::uint64_t /*messages_started*/) override {
    const MutexLock lock(mutex_);
    closed_ = why;
    changed_.NotifyAll();
  }

  Result<std::string> Wait(const OpContext& ctx) {
    const MutexLock lock(mutex_);
    while (!closed_ && output_.size() <= limit_) {
      TRY(ctx.Check(Fate::kUnknown));
      changed_.Wait(mutex_, ctx);
    }
    if (output_.size() > limit_) {
      return Error{Code::kTooBig, "the command in the container wrote more than expected", "ssh.exec-output"};
    }
    if (closed_->tag != "ssh.channel-ended") {
      return *closed_;
    }
    return std::move(output_);
  }

 private:
  const std::size_t limit_;
  Mutex mutex_;
  CondVar changed_;
  std::string output_ GUARDED_BY(mutex_);
  std::optional<Error> closed_ GUARDED_BY(mutex_);
};

}  // namespace

SshConnection::SshConnection(std::unique_ptr<Lane> lane, const SshOptions& options)
    : options_(options), lane_(std::move(lane)) {}

SshConnection::~SshConnection() = default;

Result<std::shared_ptr<SshConnection>> SshConnection::Open(const OpContext& ctx, std::unique_ptr<ByteStream> stream,
                                                           const SshLogin& login, const SshOptions& options) {
  Certificate certificate = TRY(Certificate::Parse(login.certificate));
  if (!std::ranges::equal(certificate.public_blob, login.key_pair.public_blob())) {
    return Error{Code::kRefused,
                 "the service signed another SSH key than the one it was given; try again, and tell Baseten's support "
                 "when it stays so",
                 "ssh.certificate", Fate::kNotSent};
  }
  auto lane =
      std::make_unique<Lane>(std::move(stream), CertificateLogin(login.user, std::move(certificate), login.key_pair));
  Lane::Server server = TRY(lane->WaitUntilReady(ctx));
  std::shared_ptr<SshConnection> connection(new SshConnection(std::move(lane), options));
  connection->host_key_ = std::move(server.host_key);
  connection->server_version_ = std::move(server.version);
  connection->self_ = connection;
  return connection;
}

Result<std::unique_ptr<sftp::MessageChannel>> SshConnection::OpenSftp(const OpContext& ctx) {
  return OpenChannel(ctx, "subsystem", "sftp");
}

Result<std::unique_ptr<sftp::MessageChannel>> SshConnection::OpenSubsystem(const OpContext& ctx, std::string name) {
  return OpenChannel(ctx, "subsystem", std::move(name));
}

Result<std::unique_ptr<sftp::MessageChannel>> SshConnection::OpenChannel(const OpContext& ctx, std::string kind,
                                                                         std::string argument) {
  TRY(ctx.Check());
  auto mailbox = std::make_shared<Mailbox>();
  lane_->AddChannel(ChannelRequest{std::move(kind), std::move(argument), options_.receive_window}, mailbox);
  // Made before the wait: its destructor gives the channel back on every way out.
  auto channel = std::make_unique<LaneChannel>(self_.lock(), *lane_, mailbox);
  TRY(mailbox->WaitUntilOpen(ctx));
  return std::unique_ptr<sftp::MessageChannel>(std::move(channel));
}

Result<std::string> SshConnection::Exec(const OpContext& ctx, std::string command) {
  OutputCollector collector(kMaxExecOutput);
  const std::unique_ptr<sftp::MessageChannel> channel = TRY(OpenChannel(ctx, "exec", std::move(command)));
  channel->Start(collector);
  return collector.Wait(ctx);  // the channel goes before the collector
}

void SshConnection::Abort(Error why) { lane_->Stop(std::move(why)); }

std::optional<Error> SshConnection::ended() const { return lane_->ended(); }

SshStatistics SshConnection::statistics() const {
  const Counters& counters = lane_->counters();
  return SshStatistics{counters.bytes_in.load(std::memory_order_relaxed),
                       counters.bytes_out.load(std::memory_order_relaxed),
                       TimePoint(Duration(counters.last_received.load(std::memory_order_relaxed)))};
}

}  // namespace bt::ssh
