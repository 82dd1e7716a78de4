// Logging in to real OpenSSH servers, and every way in which that fails.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <functional>

#include "tests/unit/ssh/collector.h"
#include "tests/unit/ssh/sshd.h"
#include "transport/ssh/certificate_auth.h"

namespace bt::ssh {
namespace {

using test::Bytes;
using test::Collector;
using test::PlainStream;
using test::RunProgram;
using test::Soon;
using test::Sshd;

// SSH_FXP_INIT of version 3, and the server's SSH_FXP_VERSION.
void ExpectSftpAnswers(SshConnection& connection) {
  auto channel = connection.OpenSftp(Soon());
  ASSERT_TRUE(channel.ok()) << Describe(channel.error());
  Collector collector;
  (*channel)->Send(Bytes({"\0\0\0\5\1\0\0\0\3", 9}));
  (*channel)->Start(collector);
  ASSERT_TRUE(collector.WaitForBytes(9, Soon()));
  EXPECT_EQ(collector.text().substr(4, 5), std::string("\2\0\0\0\3", 5));
  channel->reset();
}

TEST(Login, WorksWithAKeyMadeInMemory) {
  Sshd sshd;
  const auto connection = sshd.Connect();
  ASSERT_TRUE(connection.ok()) << Describe(connection.error());
  ExpectSftpAnswers(**connection);
  EXPECT_GT((*connection)->statistics().bytes_in, 1000U);
  EXPECT_GT((*connection)->statistics().bytes_out, 1000U);
  EXPECT_LE((*connection)->statistics().last_received, Clock::now());
  EXPECT_GT((*connection)->statistics().last_received, TimePoint());
  EXPECT_NE((*connection)->server_version().find("OpenSSH"), std::string::npos);
}

TEST(Login, WorksWithAnEd25519File) {
  Sshd sshd;
  ASSERT_EQ(
      RunProgram({"/usr/bin/ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", (sshd.dir() / "id_ed25519").string()}),
      0);
  const auto key = KeyPair::Load(sshd.dir());
  ASSERT_TRUE(key.ok()) << Describe(key.error());
  const auto connection = sshd.Connect(**key, sshd.Sign((*key)->public_key_line()));
  ASSERT_TRUE(connection.ok()) << Describe(connection.error());
  ExpectSftpAnswers(**connection);
}

TEST(Login, WorksWithAnRsaFileAndEitherSha2) {
  for (const char* algorithm : {"rsa-sha2-512-cert-v01@openssh.com", "rsa-sha2-256-cert-v01@openssh.com"}) {
    Sshd sshd(std::string(Sshd::kWithSftp) + "PubkeyAcceptedAlgorithms " + algorithm + "\n");
    ASSERT_EQ(RunProgram({"/usr/bin/ssh-keygen", "-q", "-t", "rsa", "-b", "3072", "-N", "", "-f",
                          (sshd.dir() / "id_rsa").string()}),
              0);
    const auto key = KeyPair::Load(sshd.dir());
    ASSERT_TRUE(key.ok()) << Describe(key.error());
    const auto connection = sshd.Connect(**key, sshd.Sign((*key)->public_key_line()));
    ASSERT_TRUE(connection.ok()) << algorithm << ": " << Describe(connection.error());
    ExpectSftpAnswers(**connection);
  }
}

TEST(Login, ReportsTheHostKeyAsSshKeygenDoes) {
  Sshd sshd;
  const auto connection = sshd.Connect();
  ASSERT_TRUE(connection.ok()) << Describe(connection.error());
  EXPECT_EQ((*connection)->host_key().type, "ssh-ed25519");
  ASSERT_EQ(
      RunProgram({"/bin/sh", "-c",
                  "ssh-keygen -l -f " + (sshd.dir() / "host.pub").string() + " > " + (sshd.dir() / "print").string()}),
      0);
  EXPECT_NE(test::ReadFile(sshd.dir() / "print").find((*connection)->host_key().fingerprint), std::string::npos);
  const auto again = sshd.Connect();
  ASSERT_TRUE(again.ok());
  EXPECT_EQ((*again)->host_key(), (*connection)->host_key());
}

TEST(Login, IsRefusedWithAnotherAuthority) {
  Sshd sshd;
  const auto key = KeyPair::Generate();
  const auto connection = sshd.Connect(**key, sshd.Sign((*key)->public_key_line(), "+1h", "other-ca"));
  ASSERT_FALSE(connection.ok());
  EXPECT_EQ(connection.error().code, Code::kRefused);
  EXPECT_EQ(connection.error().tag, "ssh.auth");
  EXPECT_NE(connection.error().text.find("refused the certificate"), std::string::npos);
}

TEST(Login, IsRefusedWithAnExpiredCertificateAndSaysSo) {
  Sshd sshd;
  const auto key = KeyPair::Generate();
  const auto connection = sshd.Connect(**key, sshd.Sign((*key)->public_key_line(), "-2h:-1h"));
  ASSERT_FALSE(connection.ok());
  EXPECT_EQ(connection.error().tag, "ssh.auth");
  EXPECT_NE(connection.error().text.find("valid from"), std::string::npos) << connection.error().text;
}

TEST(Login, NeedsACertificateOfTheSameKey) {
  Sshd sshd;
  const auto key = KeyPair::Generate();
  const auto other = KeyPair::Generate();
  const auto connection = sshd.Connect(**key, sshd.Sign((*other)->public_key_line()));
  ASSERT_FALSE(connection.ok());
  EXPECT_EQ(connection.error().tag, "ssh.certificate");
}

TEST(Login, SaysWhatToDoWithoutAnSftpSubsystem) {
  Sshd sshd("");
  const auto connection = sshd.Connect();
  ASSERT_TRUE(connection.ok()) << Describe(connection.error());
  const auto channel = (*connection)->OpenSftp(Soon());
  ASSERT_FALSE(channel.ok());
  EXPECT_EQ(channel.error().code, Code::kUnsupported);
  EXPECT_NE(channel.error().text.find("openssh-sftp-server"), std::string::npos);
  EXPECT_FALSE((*connection)->ended().has_value()) << "the connection is still good";
}

TEST(Certificate, SurvivesEveryTruncationAndChange) {
  Sshd sshd;
  const auto key = KeyPair::Generate();
  const std::string text = sshd.Sign((*key)->public_key_line());
  ASSERT_TRUE(Certificate::Parse(text).ok());
  for (std::size_t length = 0; length < text.size(); ++length) {
    (void)Certificate::Parse(text.substr(0, length)).ok();
    std::string changed = text;
    changed[length] = changed[length] == 'A' ? '/' : 'A';
    (void)Certificate::Parse(changed).ok();
  }
  EXPECT_EQ(Certificate::Parse("ssh-ed25519 AAAA").error().code, Code::kRefused);
  EXPECT_EQ(Certificate::Parse("").error().code, Code::kRefused);
}

// A peer of one connection that is not sshd: plays `act` on the accepted socket.
class FakeServer {
 public:
  explicit FakeServer(std::function<void(int)> act) {
    listener_.Reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_.get(), 1), 0);
    EXPECT_EQ(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::jthread([this, act = std::move(act)] {
      const UniqueFd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      act(socket.get());
    });
  }

  Result<std::shared_ptr<SshConnection>> Connect(const OpContext& ctx) {
    const auto key = TRY(KeyPair::Generate());
    Sshd authority;
    return SshConnection::Open(ctx, TRY(PlainStream::Connect(port_, {})),
                               {"baseten", *key, authority.Sign(key->public_key_line())});
  }

 private:
  UniqueFd listener_;
  std::uint16_t port_ = 0;
  std::jthread thread_;
};

void SendAll(int socket, std::string_view text) { (void)::send(socket, text.data(), text.size(), MSG_NOSIGNAL); }

void ReadToEnd(int socket) {
  std::array<char, 4096> sink{};
  while (::recv(socket, sink.data(), sink.size(), 0) > 0) {
  }
}

TEST(Handshake, FailsWhenTheProxyHangsUp) {
  FakeServer server([](int) {});
  const auto connection = server.Connect(Soon());
  ASSERT_FALSE(connection.ok());
  EXPECT_EQ(connection.error().code, Code::kDisconnected) << Describe(connection.error());
}

TEST(Handshake, FailsWhenTheServerHangsUpAfterItsBanner) {
  FakeServer server([](int socket) { SendAll(socket, "SSH-2.0-OpenSSH_9.2\r\n"); });
  const auto connection = server.Connect(Soon());
  ASSERT_FALSE(connection.ok());
  EXPECT_EQ(connection.error().code, Code::kDisconnected) << Describe(connection.error());
}

TEST(Handshake, FailsOnEndlessJunk) {
  FakeServer server([](int socket) {
    const std::string junk(65536, 'x');
    while (::send(socket, junk.data(), junk.size(), MSG_NOSIGNAL) > 0) {
    }
  });
  const auto connection = server.Connect(Soon());
  ASSERT_FALSE(connection.ok());
  EXPECT_EQ(connection.error().code, Code::kProtocol) << Describe(connection.error());
}

TEST(Handshake, FailsOnEndlessJunkLines) {
  FakeServer server([](int socket) {
    std::string junk;
    while (junk.size() < 65536) {
      junk += "hello\r\n";
    }
    while (::send(socket, junk.data(), junk.size(), MSG_NOSIGNAL) > 0) {
    }
  });
  const auto connection = server.Connect(Soon());
  ASSERT_FALSE(connection.ok());
  EXPECT_EQ(connection.error().code, Code::kProtocol) << Describe(connection.error());
}

TEST(Handshake, FailsOnAnHttpServer) {
  FakeServer server([](int socket) { SendAll(socket, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"); });
  EXPECT_FALSE(server.Connect(Soon()).ok());
}

TEST(Handshake, FailsOnJunkAfterTheBanner) {
  for (unsigned seed = 1; seed <= 40; ++seed) {
    FakeServer server([seed](int socket) {
      std::string junk = "SSH-2.0-OpenSSH_9.2\r\n";
      // A plausible packet length, then noise; every fourth one looks like KEXINIT (20) or DISCONNECT (1).
      junk += std::string("\0\0", 2) + static_cast<char>(seed) + '\xf8' + '\4';
      junk += seed % 4 == 0 ? (seed % 8 == 0 ? '\x14' : '\1') : static_cast<char>(seed * 7);
      unsigned state = seed;
      for (int i = 0; i < 100000; ++i) {
        state = state * 1664525U + 1013904223U;
        junk += static_cast<char>(state >> 24U);
      }
      SendAll(socket, junk);
      ::shutdown(socket, SHUT_WR);
      ReadToEnd(socket);
    });
    EXPECT_FALSE(server.Connect(Soon()).ok()) << "seed " << seed;
  }
}

TEST(Handshake, EndsAtTheDeadlineOfABlackHole) {
  FakeServer server(&ReadToEnd);
  const auto connection = server.Connect(OpContext::WithTimeout(std::chrono::milliseconds(100)));
  ASSERT_FALSE(connection.ok());
  EXPECT_EQ(connection.error().code, Code::kTimedOut);
}

TEST(Handshake, EndsWhenCancelledAgainstABlackHole) {
  std::stop_source source;
  FakeServer server([&source](int socket) {
    std::array<char, 64> sink{};
    (void)::recv(socket, sink.data(), sink.size(), 0);  // its banner: the handshake is under way
    source.request_stop();
    ReadToEnd(socket);
  });
  const auto connection = server.Connect(OpContext{TimePoint::max(), source.get_token()});
  ASSERT_FALSE(connection.ok());
  EXPECT_EQ(connection.error().code, Code::kInterrupted);
}

// Changes one byte of what the server sends.
class DamagingStream final : public ByteStream {
 public:
  DamagingStream(std::unique_ptr<PlainStream> stream, std::size_t at) : stream_(std::move(stream)), at_(at) {}
  Result<std::size_t> Read(std::span<std::byte> out) override {
    const std::size_t got = TRY(stream_->Read(out));
    if (at_ >= seen_ && at_ < seen_ + got) {
      out[at_ - seen_] ^= std::byte{0x10};
    }
    seen_ += got;
    return got;
  }
  Result<std::size_t> Write(std::span<const std::byte> bytes) override { return stream_->Write(bytes); }
  bool HasPending() const override { return stream_->HasPending(); }
  int fd() const override { return stream_->fd(); }
  short poll_events(bool want_write) const override { return stream_->poll_events(want_write); }
  void Abort() override { stream_->Abort(); }

 private:
  const std::unique_ptr<PlainStream> stream_;
  const std::size_t at_;
  std::size_t seen_ = 0;
};

class DamagedStream : public testing::TestWithParam<const char*> {};

TEST_P(DamagedStream, CostsTheLaneAndNothingElse) {
  Sshd sshd("Subsystem zeros /usr/bin/head -c 100000 /dev/zero\nCiphers " + std::string(GetParam()) + "\n");
  const auto key = KeyPair::Generate();
  ASSERT_TRUE(key.ok());
  const std::string certificate = sshd.Sign((*key)->public_key_line());
  // The banner and the key exchange are within the first 1,200 bytes, the login within 3,000, the data follow. What is
  // sent before there are keys has padding and repeated names that nobody checks.
  constexpr std::size_t kEncrypted = 2000;
#if defined(__SANITIZE_ADDRESS__)
  constexpr std::size_t kFirst = 1300;  // libssh2 leaks the parsed host key when a key exchange fails
#else
  constexpr std::size_t kFirst = 15;
#endif
  for (std::size_t at = kFirst; at < 12000; at += at < 3500 ? 290 : 2401) {
    auto stream = sshd.ConnectStream();
    ASSERT_TRUE(stream.ok());
    const auto connection =
        SshConnection::Open(OpContext::WithTimeout(std::chrono::seconds(2)),
                            std::make_unique<DamagingStream>(std::move(*stream), at), {"baseten", **key, certificate});
    if (!connection.ok()) {
      continue;
    }
    auto channel = (*connection)->OpenSubsystem(OpContext::WithTimeout(std::chrono::seconds(2)), "zeros");
    if (!channel.ok()) {
      continue;
    }
    Collector collector;
    (*channel)->Start(collector);
    const auto closed = collector.WaitForClose(OpContext::WithTimeout(std::chrono::seconds(2)));
    channel->reset();
    // A damaged length may leave it waiting for more; else the damage is found.
    if (closed && at >= kEncrypted) {
      EXPECT_NE(closed->tag, "ssh.channel-ended") << "damage at byte " << at << " was not seen";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Ciphers, DamagedStream,
                         testing::Values("chacha20-poly1305@openssh.com", "aes128-ctr", "aes128-gcm@openssh.com"));

}  // namespace
}  // namespace bt::ssh
