// The link alone: a client's socket on one side, the test on the other.
#include "tests/support/standin/link.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <deque>
#include <string>

#include "tests/support/standin/link_loop.h"
#include "tests/support/standin/relay_far_end.h"
#include "tests/support/standin/sockets.h"
#include "transport/base/sync.h"

namespace bt::standin {
namespace {

using namespace std::chrono_literals;

void SetBlocking(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK); }

class LinkTest : public testing::Test {
 protected:
  void SetUp() override {
    loop_ = std::move(LinkLoop::Start()).value();
    link_ = std::make_unique<Link>(*loop_);
    loop_->AddLink(*link_);
    const auto port =
        loop_->AddListener(*link_, 0, [this] { return std::make_unique<RelayFarEnd>([this] { return Connected(); }); });
    ASSERT_TRUE(port.ok());
    port_ = *port;
  }
  void TearDown() override { loop_.reset(); }

  UniqueFd Dial() {
    UniqueFd fd = ConnectLoopback(port_);
    pollfd wait{.fd = fd.get(), .events = POLLOUT, .revents = 0};
    int error = 0;
    socklen_t size = sizeof error;
    if (!fd || ::poll(&wait, 1, -1) != 1 || ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0 ||
        error != 0) {
      return UniqueFd();
    }
    SetBlocking(fd.get());
    return fd;
  }
  // The far side's socket of the connection made next.
  UniqueFd TakeServerSide() {
    MutexLock lock(mutex_);
    while (servers_.empty()) {
      arrived_.Wait(mutex_, {});
    }
    UniqueFd fd = std::move(servers_.front());
    servers_.pop_front();
    return fd;
  }
  static void Send(const UniqueFd& fd, const std::string& text) {
    ASSERT_EQ(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  // Waits for that many bytes; fewer when the stream ends before.
  static std::string Receive(const UniqueFd& fd, std::size_t size) {
    std::string text(size, '\0');
    std::size_t got = 0;
    while (got < size) {
      const ssize_t n = ::recv(fd.get(), text.data() + got, size - got, 0);
      if (n <= 0) {
        break;
      }
      got += static_cast<std::size_t>(n);
    }
    text.resize(got);
    return text;
  }
  static bool HasSomethingToRead(const UniqueFd& fd) {
    pollfd wait{.fd = fd.get(), .events = POLLIN, .revents = 0};
    return ::poll(&wait, 1, 0) == 1;
  }

  std::unique_ptr<LinkLoop> loop_;
  std::unique_ptr<Link> link_;
  std::uint16_t port_ = 0;

 private:
  UniqueFd Connected() {
    std::array<int, 2> pair{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()), 0);
    ::fcntl(pair[0], F_SETFL, O_NONBLOCK);
    MutexLock lock(mutex_);
    servers_.emplace_back(pair[1]);
    arrived_.NotifyAll();
    return UniqueFd(pair[0]);
  }

  Mutex mutex_;
  CondVar arrived_;
  std::deque<UniqueFd> servers_ GUARDED_BY(mutex_);
};

TEST_F(LinkTest, RelaysBothWaysAndCounts) {
  const UniqueFd client = Dial();
  const UniqueFd server = TakeServerSide();
  Send(client, "question");
  EXPECT_EQ(Receive(server, 8), "question");
  Send(server, "answer");
  EXPECT_EQ(Receive(client, 6), "answer");
  const LinkCounters counters = link_->counters();
  EXPECT_EQ(counters.connections, 1U);
  EXPECT_EQ(counters.bytes_up, 8U);
  EXPECT_EQ(counters.bytes_down, 6U);
}

TEST_F(LinkTest, PassesTheEndOfEachDirectionOn) {
  const UniqueFd client = Dial();
  UniqueFd server = TakeServerSide();
  Send(client, "last words");
  ::shutdown(client.get(), SHUT_WR);
  EXPECT_EQ(Receive(server, 100), "last words");
  Send(server, "and the reply");
  server.Reset();
  EXPECT_EQ(Receive(client, 100), "and the reply");
}

TEST_F(LinkTest, MovesManyBytesUnharmed) {
  const UniqueFd client = Dial();
  const UniqueFd server = TakeServerSide();
  std::string sent(8U << 20U, '\0');
  for (std::size_t i = 0; i < sent.size(); ++i) {
    sent[i] = static_cast<char>((i * 2654435761U) >> 13U);
  }
  const std::jthread sender([&] { Send(client, sent); });
  EXPECT_TRUE(Receive(server, sent.size()) == sent);
}

TEST_F(LinkTest, ARoundTripTakesAtLeastTheRtt) {
  link_->SetRtt(60ms);
  const TimePoint dialled = Clock::now();
  const UniqueFd client = Dial();
  const UniqueFd server = TakeServerSide();
  EXPECT_GE(Clock::now() - dialled, 90ms);  // SYN, SYN-ACK, ACK
  const TimePoint asked = Clock::now();
  Send(client, "?");
  EXPECT_EQ(Receive(server, 1), "?");
  Send(server, "!");
  EXPECT_EQ(Receive(client, 1), "!");
  EXPECT_GE(Clock::now() - asked, 60ms);
}

TEST_F(LinkTest, WindowBoundsThroughputByTheRtt) {
  link_->SetRtt(30ms);
  link_->SetWindow(64 << 10);
  const UniqueFd client = Dial();
  const UniqueFd server = TakeServerSide();
  const TimePoint start = Clock::now();
  const std::jthread sender([&] { Send(client, std::string(640U << 10U, 'x')); });
  EXPECT_EQ(Receive(server, 640U << 10U).size(), 640U << 10U);
  EXPECT_GE(Clock::now() - start, 9 * 30ms);  // ten windows, and the first needs no acknowledgement
}

TEST_F(LinkTest, RateIsSharedByAllConnections) {
  link_->SetRate(2'000'000);
  const UniqueFd first = Dial();
  const UniqueFd first_server = TakeServerSide();
  const UniqueFd second = Dial();
  const UniqueFd second_server = TakeServerSide();
  const std::string bytes(300'000, 'x');
  const TimePoint start = Clock::now();
  const std::jthread one([&] { Send(first, bytes); });
  const std::jthread two([&] { Send(second, bytes); });
  std::jthread reader([&] { EXPECT_EQ(Receive(first_server, bytes.size()).size(), bytes.size()); });
  EXPECT_EQ(Receive(second_server, bytes.size()).size(), bytes.size());
  reader.join();
  EXPECT_GE(Clock::now() - start, 275ms);  // both together take 300 ms, however they share them
}

TEST_F(LinkTest, CutResetsBothSides) {
  const UniqueFd client = Dial();
  const UniqueFd server = TakeServerSide();
  link_->CutAll();
  char byte = 0;
  EXPECT_EQ(::recv(client.get(), &byte, 1, 0), -1);
  EXPECT_EQ(errno, ECONNRESET);
  EXPECT_EQ(Receive(server, 1), "");
  EXPECT_EQ(link_->counters().cuts, 1U);
}

TEST_F(LinkTest, CutAfterLetsExactlyThatMuchPass) {
  const UniqueFd client = Dial();
  const UniqueFd server = TakeServerSide();
  link_->CutAfter(Direction::kUp, 100'000);
  const std::jthread sender([&] { ::send(client.get(), std::string(200'000, 'x').data(), 200'000, MSG_NOSIGNAL); });
  EXPECT_EQ(Receive(server, 200'000).size(), 100'000U);
  EXPECT_EQ(link_->counters().cuts, 1U);
}

TEST_F(LinkTest, CutsAgainAndAgainBySeed) {
  link_->CutEvery(7, 5ms, 10ms);
  for (int round = 0; round < 3; ++round) {
    const UniqueFd client = Dial();
    EXPECT_EQ(Receive(client, 1), "");
  }
  link_->StopCutting();
  EXPECT_GE(link_->counters().cuts, 3U);
}

TEST_F(LinkTest, StallSwallowsUntilItEnds) {
  const UniqueFd client = Dial();
  const UniqueFd server = TakeServerSide();
  link_->Stall();
  Send(client, "held");
  const UniqueFd late = Dial();  // the kernel answers for the link; nothing more comes
  EXPECT_TRUE(late);
  Send(late, "also held");
  EXPECT_FALSE(HasSomethingToRead(server));
  link_->EndStall();
  EXPECT_EQ(Receive(server, 4), "held");
  EXPECT_EQ(Receive(TakeServerSide(), 9), "also held");
}

TEST_F(LinkTest, NewConnectionsMayPassAStall) {
  const UniqueFd client = Dial();
  const UniqueFd server = TakeServerSide();
  link_->Stall(StallNew::kPass);
  Send(client, "held");
  const UniqueFd fresh = Dial();
  const UniqueFd fresh_server = TakeServerSide();
  Send(fresh, "passes");
  EXPECT_EQ(Receive(fresh_server, 6), "passes");
  EXPECT_FALSE(HasSomethingToRead(server));
}

TEST_F(LinkTest, RefusedConnectionsCanComeBackOnTheSamePort) {
  const UniqueFd before = Dial();
  const UniqueFd before_server = TakeServerSide();
  ASSERT_TRUE(link_->RefuseConnections(true).ok());
  EXPECT_FALSE(Dial());
  Send(before, "still here");
  EXPECT_EQ(Receive(before_server, 10), "still here");
  ASSERT_TRUE(link_->RefuseConnections(false).ok());
  const UniqueFd after = Dial();
  ASSERT_TRUE(after);
  const UniqueFd after_server = TakeServerSide();
  Send(after, "back");
  EXPECT_EQ(Receive(after_server, 4), "back");
}

TEST_F(LinkTest, ConnectionsBeyondTheLimitAreReset) {
  link_->SetMaxConnections(1);
  const UniqueFd first = Dial();
  const UniqueFd first_server = TakeServerSide();
  const UniqueFd second = Dial();
  EXPECT_EQ(Receive(second, 1), "");
  Send(first, "fine");
  EXPECT_EQ(Receive(first_server, 4), "fine");
}

}  // namespace
}  // namespace bt::standin
