// Channels of a real OpenSSH server: bytes both ways, key exchanges in between, ends of every kind.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/unit/ssh/collector.h"
#include "tests/unit/ssh/echo.h"
#include "tests/unit/ssh/sshd.h"

namespace bt::ssh {
namespace {

using test::Bytes;
using test::Collector;
using test::Echo;
using test::kEcho;
using test::PatternReceiver;
using test::PlainStream;
using test::Soon;
using test::Sshd;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr std::uint64_t kMuch = 48 * 1024 * 1024;
#else
constexpr std::uint64_t kMuch = 200 * 1024 * 1024;
#endif

TEST(Channel, EchoesMuchDataThroughManyKeyExchanges) {
  Sshd sshd(std::string(kEcho) + "RekeyLimit 8M\n");
  const auto connection = sshd.Connect();
  ASSERT_TRUE(connection.ok()) << Describe(connection.error());
  auto channel = (*connection)->OpenSubsystem(Soon(), "echo");
  ASSERT_TRUE(channel.ok()) << Describe(channel.error());
  PatternReceiver receiver;
  (*channel)->Start(receiver);
  Echo(**channel, receiver, kMuch);
  channel->reset();
}

TEST(Channel, EchoesThroughSmallSocketBuffersAndKeyExchanges) {
  Sshd sshd(std::string(kEcho) + "RekeyLimit 1M\n");
  const auto connection = sshd.Connect(PlainStream::Options{4096, 4096});
  ASSERT_TRUE(connection.ok()) << Describe(connection.error());
  auto channel = (*connection)->OpenSubsystem(Soon(), "echo");
  ASSERT_TRUE(channel.ok()) << Describe(channel.error());
  PatternReceiver receiver;
  (*channel)->Start(receiver);
  Echo(**channel, receiver, 24 * 1024 * 1024);
  channel->reset();
}

TEST(Channel, SeveralOnOneConnectionDoNotDisturbEachOther) {
  Sshd sshd(std::string(kEcho) + Sshd::kWithSftp + "RekeyLimit 8M\n");
  const auto connection = sshd.Connect();
  ASSERT_TRUE(connection.ok()) << Describe(connection.error());
  constexpr int kChannels = 8;
  std::vector<std::unique_ptr<sftp::MessageChannel>> channels;
  std::vector<std::unique_ptr<PatternReceiver>> receivers;
  for (int i = 0; i < kChannels; ++i) {
    auto channel = (*connection)->OpenSubsystem(Soon(), "echo");
    ASSERT_TRUE(channel.ok()) << Describe(channel.error());
    receivers.push_back(std::make_unique<PatternReceiver>());
    (*channel)->Start(*receivers.back());
    channels.push_back(std::move(*channel));
  }
  {
    std::vector<std::jthread> users;
    for (std::size_t i = 0; i < kChannels; ++i) {
      users.emplace_back([&, i] { Echo(*channels[i], *receivers[i], 4 * 1024 * 1024); });
    }
  }
  channels.clear();
  EXPECT_FALSE((*connection)->ended().has_value());
  auto one_more = (*connection)->OpenSftp(Soon());  // closed channels are given back
  EXPECT_TRUE(one_more.ok());
}

TEST(Channel, TellsWhenTheServerAllowsNoMore) {
  Sshd sshd(std::string(kEcho) + "MaxSessions 2\n");
  const auto connection = sshd.Connect();
  ASSERT_TRUE(connection.ok()) << Describe(connection.error());
  const auto one = (*connection)->OpenSubsystem(Soon(), "echo");
  const auto two = (*connection)->OpenSubsystem(Soon(), "echo");
  const auto three = (*connection)->OpenSubsystem(Soon(), "echo");
  EXPECT_TRUE(one.ok());
  EXPECT_TRUE(two.ok());
  ASSERT_FALSE(three.ok());
  EXPECT_EQ(three.error().code, Code::kUnavailable) << Describe(three.error());
}

TEST(Channel, GivesBytesThatCameBeforeTheStart) {
  Sshd sshd("Subsystem hello /bin/echo hello\n");
  const auto connection = sshd.Connect();
  ASSERT_TRUE(connection.ok()) << Describe(connection.error());
  auto channel = (*connection)->OpenSubsystem(Soon(), "hello");
  ASSERT_TRUE(channel.ok());
  (void)(*connection)->Exec(Soon(), "true");  // by now the greeting of the other channel is here too
  Collector collector;
  (*channel)->Start(collector);
  const auto closed = collector.WaitForClose(Soon());
  ASSERT_TRUE(closed.has_value());
  EXPECT_EQ(collector.text(), "hello\n");
  EXPECT_EQ(closed->tag, "ssh.channel-ended");
  channel->reset();
  EXPECT_FALSE(collector.called_after_close());
}

TEST(Channel, TellsTheStatusOfAFailedProgram) {
  Sshd sshd("Subsystem sftp /nowhere/sftp-server\n");
  const auto connection = sshd.Connect();
  ASSERT_TRUE(connection.ok()) << Describe(connection.error());
  auto channel = (*connection)->OpenSftp(Soon());
  if (!channel.ok()) {
    EXPECT_EQ(channel.error().tag, "ssh.no-sftp");  // some versions look for the program before they answer
    return;
  }
  Collector collector;
  (*channel)->Start(collector);
  const auto closed = collector.WaitForClose(Soon());
  ASSERT_TRUE(closed.has_value());
  EXPECT_NE(closed->text.find("status 127"), std::string::npos) << closed->text;
  channel->reset();
}

TEST(Channel, TellsTheEndWhenTheServerIsKilled) {
  Sshd sshd(kEcho);
  const auto connection = sshd.Connect();
  ASSERT_TRUE(connection.ok()) << Describe(connection.error());
  auto channel = (*connection)->OpenSubsystem(Soon(), "echo");
  ASSERT_TRUE(channel.ok());
  Collector collector;
  (*channel)->Start(collector);
  (*channel)->Send(Bytes("ping"));
  ASSERT_TRUE(collector.WaitForBytes(4, Soon()));
  sshd.KillServers();
  const auto closed = collector.WaitForClose(Soon());
  ASSERT_TRUE(closed.has_value());
  EXPECT_EQ(closed->code, Code::kDisconnected) << Describe(*closed);
  EXPECT_EQ(collector.started(), 1U);
  (*channel)->Send(Bytes("too late"));
  EXPECT_FALSE((*connection)->OpenSftp(Soon()).ok());
  EXPECT_TRUE((*connection)->ended().has_value());
  channel->reset();
  EXPECT_FALSE(collector.called_after_close());
}

TEST(Channel, AbortWakesEverybodyWithItsReason) {
  Sshd sshd(kEcho);
  const auto connection = sshd.Connect();
  ASSERT_TRUE(connection.ok()) << Describe(connection.error());
  auto one = (*connection)->OpenSubsystem(Soon(), "echo");
  auto two = (*connection)->OpenSubsystem(Soon(), "echo");
  ASSERT_TRUE(one.ok() && two.ok());
  Collector of_one;
  Collector of_two;
  (*one)->Start(of_one);
  (*two)->Start(of_two);
  std::jthread([&one] { (*one)->Abort(Error{Code::kProtocol, "bad packet", "test.abort"}); }).join();
  EXPECT_EQ(of_one.WaitForClose(Soon())->tag, "test.abort");
  EXPECT_EQ(of_two.WaitForClose(Soon())->tag, "test.abort");
  Collector late;
  auto three = (*connection)->OpenSubsystem(Soon(), "echo");
  EXPECT_EQ(three.error().tag, "test.abort");
  one->reset();
  two->reset();
}

// Ends its channel from within a callback, as the SFTP client does when a packet is bad.
class AbortingReceiver final : public sftp::MessageChannel::Receiver {
 public:
  explicit AbortingReceiver(sftp::MessageChannel& channel) : channel_(channel) {}
  void OnBytes(std::span<const std::byte> /*bytes*/) override {
    channel_.Abort(Error{Code::kProtocol, "bad packet", "test.abort"});
  }
  void OnClosed(const Error& why, std::uint64_t messages_started) override {
    channel_.Send(Bytes("dropped"));
    end.OnClosed(why, messages_started);
  }
  Collector end;

 private:
  sftp::MessageChannel& channel_;
};

TEST(Channel, CanBeAbortedFromWithinItsReceiver) {
  Sshd sshd(kEcho);
  const auto connection = sshd.Connect();
  ASSERT_TRUE(connection.ok()) << Describe(connection.error());
  auto channel = (*connection)->OpenSubsystem(Soon(), "echo");
  ASSERT_TRUE(channel.ok());
  AbortingReceiver receiver(**channel);
  (*channel)->Start(receiver);
  (*channel)->Send(Bytes("ping"));
  EXPECT_EQ(receiver.end.WaitForClose(Soon())->tag, "test.abort");
  channel->reset();
}

TEST(Channel, TellsTheEndToAReceiverThatStartsLate) {
  Sshd sshd(kEcho);
  const auto connection = sshd.Connect();
  ASSERT_TRUE(connection.ok()) << Describe(connection.error());
  auto channel = (*connection)->OpenSubsystem(Soon(), "echo");
  ASSERT_TRUE(channel.ok());
  (*channel)->Send(Bytes("a"));
  (*connection)->Abort(Error{Code::kDisconnected, "gone", "test.abort"});
  Collector collector;
  (*channel)->Start(collector);
  EXPECT_EQ(collector.WaitForClose(Soon())->tag, "test.abort");
  EXPECT_LE(collector.started(), 1U);
  channel->reset();
}

TEST(Channel, TellsTheEndWhenItIsDestroyed) {
  Sshd sshd(kEcho);
  const auto connection = sshd.Connect();
  ASSERT_TRUE(connection.ok()) << Describe(connection.error());
  auto channel = (*connection)->OpenSubsystem(Soon(), "echo");
  ASSERT_TRUE(channel.ok());
  Collector collector;
  (*channel)->Start(collector);
  channel->reset();
  const auto closed = collector.WaitForClose(OpContext::WithTimeout(std::chrono::seconds(0)));
  ASSERT_TRUE(closed.has_value()) << "before the destructor returns";
  EXPECT_EQ(closed->code, Code::kInterrupted);
}

TEST(Channel, KeepsItsConnectionAlive) {
  Sshd sshd(kEcho);
  auto connection = sshd.Connect();
  ASSERT_TRUE(connection.ok()) << Describe(connection.error());
  auto channel = (*connection)->OpenSubsystem(Soon(), "echo");
  ASSERT_TRUE(channel.ok());
  connection->reset();
  Collector collector;
  (*channel)->Start(collector);
  (*channel)->Send(Bytes("still here"));
  EXPECT_TRUE(collector.WaitForBytes(10, Soon()));
  channel->reset();
}

TEST(Exec, ReturnsTheOutput) {
  Sshd sshd;
  const auto connection = sshd.Connect();
  ASSERT_TRUE(connection.ok()) << Describe(connection.error());
  const auto output = (*connection)->Exec(Soon(), "echo one; echo two >&2; exit 3");
  ASSERT_TRUE(output.ok()) << Describe(output.error());
  EXPECT_EQ(*output, "one\n");
  EXPECT_EQ((*connection)->Exec(Soon(), "head -c 100000 /dev/zero").error().code, Code::kTooBig);
  EXPECT_EQ((*connection)->Exec(OpContext::WithTimeout(std::chrono::milliseconds(50)), "sleep 30").error().code,
            Code::kTimedOut);
  EXPECT_EQ(*(*connection)->Exec(Soon(), "echo after"), "after\n");
}

TEST(Exec, IsNotHeldUpByAFloodOnTheErrorStream) {
  Sshd sshd;
  const auto connection = sshd.Connect();
  ASSERT_TRUE(connection.ok()) << Describe(connection.error());
  const auto output = (*connection)->Exec(Soon(), "head -c 40000000 /dev/zero >&2; echo done");
  ASSERT_TRUE(output.ok()) << Describe(output.error());
  EXPECT_EQ(*output, "done\n");
}

std::size_t CountEntries(const char* path) {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator(path), std::filesystem::directory_iterator()));
}

TEST(SshConnection, GivesBackItsThreadsAndDescriptors) {
  Sshd sshd;
  ASSERT_TRUE(sshd.Connect().ok());
  const std::size_t threads = CountEntries("/proc/self/task");
  const std::size_t descriptors = CountEntries("/proc/self/fd");
  for (int i = 0; i < 5; ++i) {
    const auto connection = sshd.Connect();
    ASSERT_TRUE(connection.ok());
    ASSERT_TRUE((*connection)->OpenSftp(Soon()).ok());
  }
  EXPECT_EQ(CountEntries("/proc/self/task"), threads);
  EXPECT_EQ(CountEntries("/proc/self/fd"), descriptors);
}

}  // namespace
}  // namespace bt::ssh
