#include "transport/access/proxy_stream.h"

#include <poll.h>

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "tests/unit/access/test_server.h"

namespace bt::access {
namespace {

using namespace std::chrono_literals;
using testing::Peer;
using testing::TestServer;

const std::string kJwt = "hidden.json.token";
const std::string kFrame = std::string("\0\0\0\x11", 4) + kJwt;
const std::string kYes(1, '\0');
const std::string kBanner = "SSH-2.0-OpenSSH_9.2p1\r\n";

// Both steps.
Result<std::unique_ptr<ByteStream>> OpenProxyStream(const OpContext& ctx, const Grant& grant,
                                                    const ProxyOptions& options) {
  std::unique_ptr<ByteStream> stream = TRY(ConnectToProxy(ctx, grant.proxy, options));
  return PresentGrant(ctx, std::move(stream), grant, options);
}

class ProxyStreamTest : public ::testing::Test {
 protected:
  ProxyStreamTest() { options_.ca.file = files_.Write("ca.pem", ca_.pem()); }

  static Grant GrantFor(std::uint16_t port, const std::string& host = "localhost") {
    Grant grant;
    grant.jwt = Secret(kJwt);
    grant.proxy.host = host;
    grant.proxy.port = port;
    return grant;
  }
  Result<std::unique_ptr<ByteStream>> Open(std::uint16_t port, const std::string& host = "localhost") {
    return OpenProxyStream(OpContext::WithTimeout(30s), GrantFor(port, host), options_);
  }

  testing::TestCa ca_;
  testing::TempDirectory files_;
  ProxyOptions options_;
};

// Reads until `size` bytes or the end have come, sleeping in poll() as a lane does: only when nothing is pending.
std::string ReadFrom(ByteStream& stream, std::size_t size) {
  std::string bytes;
  while (bytes.size() < size) {
    std::array<std::byte, 64UL * 1024> buffer{};
    const Result<std::size_t> got = stream.Read(std::span(buffer).first(std::min(size - bytes.size(), buffer.size())));
    if (!got.ok()) {
      EXPECT_EQ(got.error().code, Code::kDisconnected);
      break;
    }
    bytes.append(reinterpret_cast<const char*>(buffer.data()), *got);
    if (*got == 0 && !stream.HasPending()) {
      pollfd watched{stream.fd(), stream.poll_events(false), 0};
      if (::poll(&watched, 1, 20'000) == 0) {
        ADD_FAILURE() << "nothing came, " << bytes.size() << " of " << size;
        break;
      }
    }
  }
  return bytes;
}

TEST_F(ProxyStreamTest, SendsTheFrameAndKeepsTheBannerOfTheSameRecord) {
  testing::Shared<std::string> frame;
  const TestServer server(ca_.Issue(), [&](Peer& peer) {
    frame.Set(peer.ReadExactly(kFrame.size()));
    peer.Write(kYes + kBanner);
    peer.WaitForClientToLeave();
  });
  Result<std::unique_ptr<ByteStream>> stream = Open(server.port());
  ASSERT_TRUE(stream.ok()) << stream.error().text;
  EXPECT_EQ(ReadFrom(**stream, kBanner.size()), kBanner);
  EXPECT_EQ(frame.Get(), kFrame);
}

TEST_F(ProxyStreamTest, TellsOfBytesThatTheKernelNoLongerHolds) {
  const TestServer server(ca_.Issue(), [&](Peer& peer) {
    peer.ReadExactly(kFrame.size());
    peer.Write(kYes + kBanner);
    peer.WaitForClientToLeave();
  });
  Result<std::unique_ptr<ByteStream>> stream = Open(server.port());
  ASSERT_TRUE(stream.ok()) << stream.error().text;
  EXPECT_TRUE((*stream)->HasPending());
  EXPECT_EQ(ReadFrom(**stream, kBanner.size()), kBanner);
  std::array<std::byte, 8> more{};
  EXPECT_EQ(*(*stream)->Read(more), 0U);
  EXPECT_FALSE((*stream)->HasPending());
}

TEST_F(ProxyStreamTest, AcceptsAnAddressThatTheCertificateNames) {
  const TestServer server(ca_.Issue(), [&](Peer& peer) {
    peer.ReadExactly(kFrame.size());
    peer.Write(kYes);
    peer.WaitForClientToLeave();
  });
  EXPECT_TRUE(Open(server.port(), "127.0.0.1").ok());
  testing::CertificateOptions names_only;
  names_only.names = "DNS:localhost,DNS:127.0.0.1";
  const TestServer other(ca_.Issue(names_only), [&](Peer& peer) { peer.WaitForClientToLeave(); });
  EXPECT_EQ(Open(other.port(), "127.0.0.1").error().tag, "access.tls-name");
}

TEST_F(ProxyStreamTest, ReportsRefusals) {
  const std::vector<TestServer::Handler> refusals{[](Peer& peer) {
                                                    peer.ReadExactly(kFrame.size());
                                                    peer.Write("\x01");
                                                  },
                                                  [](Peer& peer) { peer.ReadExactly(kFrame.size()); }, [](Peer&) {},
                                                  [](Peer& peer) {
                                                    peer.ReadExactly(4);
                                                    peer.Reset();
                                                  }};
  for (const bool insecure : {false, true}) {
    options_.insecure = insecure;
    for (const TestServer::Handler& refusal : refusals) {
      const TestServer server(insecure ? std::nullopt : std::optional(ca_.Issue()), refusal);
      const auto stream = Open(server.port());
      ASSERT_FALSE(stream.ok());
      EXPECT_EQ(stream.error().code, Code::kRefused) << stream.error().text;
      EXPECT_EQ(stream.error().tag, "access.proxy-refused") << stream.error().text;
      EXPECT_EQ(stream.error().text.find(kJwt), std::string::npos);
    }
  }
}

TEST_F(ProxyStreamTest, WorksWithoutTlsWhenAskedTo) {
  testing::Shared<std::string> frame;
  const TestServer server(std::nullopt, [&](Peer& peer) {
    frame.Set(peer.ReadExactly(kFrame.size()));
    peer.Write(kYes + kBanner);
    peer.WaitForClientToLeave();
  });
  options_.insecure = true;
  Result<std::unique_ptr<ByteStream>> stream = Open(server.port());
  ASSERT_TRUE(stream.ok()) << stream.error().text;
  EXPECT_EQ(ReadFrom(**stream, kBanner.size()), kBanner);
  EXPECT_EQ(frame.Get(), kFrame);
}

TEST_F(ProxyStreamTest, TellsBadCertificatesApartBeforeSendingTheToken) {
  const testing::TestCa stranger;
  testing::CertificateOptions other_name;
  other_name.names = "DNS:example.com";
  testing::CertificateOptions expired;
  expired.valid_to = -60s;
  struct Row {
    testing::Certificate certificate;
    const char* tag;
  };
  for (const Row& row : {Row{stranger.Issue(), "access.tls-ca"}, Row{ca_.Issue(other_name), "access.tls-name"},
                         Row{ca_.Issue(expired), "access.tls-expired"}}) {
    std::atomic<int> bytes = 0;
    const TestServer server(row.certificate, [&](Peer& peer) { bytes += static_cast<int>(peer.Read(1).size()); });
    const auto stream = Open(server.port());
    ASSERT_FALSE(stream.ok());
    EXPECT_EQ(stream.error().tag, row.tag) << stream.error().text;
    EXPECT_EQ(stream.error().code, Code::kRefused);
    EXPECT_EQ(bytes, 0);
  }
}

TEST_F(ProxyStreamTest, TakesAuthoritiesFromADirectoryToo) {
  options_.ca.file.reset();
  options_.ca.directory = files_.path();
  const TestServer server(ca_.Issue(), [](Peer& peer) { peer.WaitForClientToLeave(); });
  EXPECT_EQ(Open(server.port()).error().tag, "access.tls-ca");  // no hashed names in it
}

TEST_F(ProxyStreamTest, SaysWhenTheAuthoritiesCannotBeRead) {
  options_.ca.file = files_.path() + "/none.pem";
  const TestServer server(ca_.Issue(), [](Peer& peer) { peer.WaitForClientToLeave(); });
  const auto stream = Open(server.port());
  EXPECT_EQ(stream.error().code, Code::kConfig);
  EXPECT_NE(stream.error().text.find("none.pem"), std::string::npos) << stream.error().text;
}

TEST_F(ProxyStreamTest, NamesTheReasonItCannotReachTheProxy) {
  std::uint16_t closed = 0;
  {
    const TestServer gone(std::nullopt, [](Peer&) {});
    closed = gone.port();
  }
  EXPECT_EQ(Open(closed).error().tag, "access.connect");
  EXPECT_EQ(Open(443, "does-not-exist.invalid").error().tag, "access.dns");
  const TestServer no_tls(std::nullopt, [](Peer& peer) { peer.Write("SSH-2.0-OpenSSH_9.2p1\r\n"); });
  EXPECT_EQ(Open(no_tls.port()).error().tag, "access.tls");
}

TEST_F(ProxyStreamTest, WaitsNoLongerThanItsDeadline) {
  const TestServer server(ca_.Issue(), [](Peer& peer) { peer.WaitForClientToLeave(); });
  const auto stream = OpenProxyStream(OpContext::WithTimeout(300ms), GrantFor(server.port()), options_);
  EXPECT_EQ(stream.error().code, Code::kTimedOut);
  options_.answer_timeout = 300ms;
  EXPECT_EQ(Open(server.port()).error().tag, "access.proxy-silent");
}

TEST_F(ProxyStreamTest, CanBeCancelledDuringTheHandshakeAndAfterIt) {
  for (const bool tls : {false, true}) {
    std::stop_source stop;
    // Without TLS it is the first handshake message that the server reads and never answers.
    const TestServer server(tls ? std::optional(ca_.Issue()) : std::nullopt, [&](Peer& peer) {
      peer.Read(1);
      stop.request_stop();
      peer.WaitForClientToLeave();
    });
    const OpContext ctx{TimePoint::max(), stop.get_token()};
    options_.answer_timeout = 60s;
    EXPECT_EQ(OpenProxyStream(ctx, GrantFor(server.port()), options_).error().code, Code::kInterrupted);
  }
}

TEST_F(ProxyStreamTest, AbortEndsTheStreamFromAnotherThread) {
  const TestServer server(ca_.Issue(), [](Peer& peer) {
    peer.ReadExactly(kFrame.size());
    peer.Write(kYes);
    peer.WaitForClientToLeave();
  });
  Result<std::unique_ptr<ByteStream>> stream = Open(server.port());
  ASSERT_TRUE(stream.ok());
  std::jthread other([&] { (*stream)->Abort(); });
  EXPECT_EQ(ReadFrom(**stream, 1), "");
  std::array<std::byte, 1> one{};
  EXPECT_FALSE((*stream)->Read(one).ok());
  other.join();
  EXPECT_FALSE((*stream)->Write(one).ok());
}

TEST_F(ProxyStreamTest, GivesWhatCameBeforeTheEnd) {
  const TestServer server(ca_.Issue(), [](Peer& peer) {
    peer.ReadExactly(kFrame.size());
    peer.Write(kYes + std::string(100'000, 'x'));
  });
  Result<std::unique_ptr<ByteStream>> stream = Open(server.port());
  ASSERT_TRUE(stream.ok());
  EXPECT_EQ(ReadFrom(**stream, 200'000), std::string(100'000, 'x'));
}

// A pattern whose every position is recognisable.
char Pattern(std::size_t at) { return static_cast<char>((at * 31U + (at >> 8U) * 7U + (at >> 16U)) & 0xFFU); }

// Both directions at once through one thread, as a lane does it, with records of odd small sizes from the server.
void ExchangeBothWays(ByteStream& stream, std::size_t total) {
  std::size_t sent = 0;
  std::size_t received = 0;
  std::vector<std::byte> out;
  std::vector<std::byte> in(200'000);
  while (sent < total || received < total) {
    bool progress = false;
    if (sent < total) {
      const std::size_t size = std::min<std::size_t>(total - sent, 70'000);
      out.resize(size);  // a new buffer each time: what was left over moves
      for (std::size_t i = 0; i < size; ++i) {
        out[i] = static_cast<std::byte>(Pattern(sent + i));
      }
      const Result<std::size_t> written = stream.Write(out);
      ASSERT_TRUE(written.ok()) << written.error().text;
      sent += *written;
      progress = *written > 0;
    }
    const Result<std::size_t> got = stream.Read(in);
    ASSERT_TRUE(got.ok()) << got.error().text;
    for (std::size_t i = 0; i < *got; ++i) {
      ASSERT_EQ(in[i], static_cast<std::byte>(Pattern(received + i))) << received + i;
    }
    received += *got;
    progress = progress || *got > 0 || stream.HasPending();
    if (!progress) {
      pollfd watched{stream.fd(), stream.poll_events(sent < total), 0};
      ASSERT_NE(::poll(&watched, 1, 20'000), 0) << sent << " sent, " << received << " received";
    }
  }
}

class BothWays : public ProxyStreamTest, public ::testing::WithParamInterface<bool> {};

TEST_P(BothWays, FlowAtTheSameTime) {
  constexpr std::size_t kTotal = 8UL * 1024 * 1024;
  const bool tls = GetParam();
  options_.insecure = !tls;
  std::atomic<bool> good = true;
  // The server reads everything into memory first half, so that both its and our buffers fill up; it writes in small
  // records throughout. (One thread may not read while another writes on one SSL, so it takes turns.)
  const TestServer server(tls ? std::optional(ca_.Issue()) : std::nullopt, [&](Peer& peer) {
    peer.ReadExactly(kFrame.size());
    peer.Write(kYes);
    std::size_t sent = 0;
    std::size_t received = 0;
    while (sent < kTotal || received < kTotal) {
      if (sent < kTotal) {
        const std::size_t size = std::min<std::size_t>(kTotal - sent, 1 + (sent * 7) % 3001);
        std::string bytes(size, '\0');
        for (std::size_t i = 0; i < size; ++i) {
          bytes[i] = Pattern(sent + i);
        }
        if (!peer.Write(bytes)) {
          good = false;
          return;
        }
        sent += size;
      }
      if (received < sent) {
        const std::string bytes = peer.Read(4000);
        if (bytes.empty()) {
          good = false;
          return;
        }
        for (std::size_t i = 0; i < bytes.size(); ++i) {
          good = good && bytes[i] == Pattern(received + i);
        }
        received += bytes.size();
      }
    }
    peer.WaitForClientToLeave();
  });
  Result<std::unique_ptr<ByteStream>> stream = Open(server.port());
  ASSERT_TRUE(stream.ok()) << stream.error().text;
  ExchangeBothWays(**stream, kTotal);
  stream->reset();
  EXPECT_TRUE(good);
}

INSTANTIATE_TEST_SUITE_P(Streams, BothWays, ::testing::Bool(),
                         [](const auto& row) { return row.param ? "Tls" : "Plain"; });

}  // namespace
}  // namespace bt::access
