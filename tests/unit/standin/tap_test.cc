#include "tests/support/sftp_tap/tap.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <thread>

#include "tests/support/sftp_tap/requests.h"
#include "transport/base/unique_fd.h"

namespace bt::tap {
namespace {

constexpr std::uint8_t kLstat = 7;
constexpr std::uint8_t kMkdir = 14;
constexpr std::uint8_t kStatusReply = 101;

std::string U32(std::size_t value) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) {
    text += static_cast<char>((value >> static_cast<unsigned>(shift)) & 0xffU);
  }
  return text;
}

std::string Packet(std::uint8_t type, std::uint32_t id, const std::string& body) {
  return U32(5 + body.size()) + static_cast<char>(type) + U32(id) + body;
}

// The test is both the client and the server; the tap runs between them on a thread.
class TapTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto pipe = [](UniqueFd& read, UniqueFd& write) {
      std::array<int, 2> fds{};
      ASSERT_EQ(::pipe2(fds.data(), O_CLOEXEC), 0);
      read.Reset(fds[0]);
      write.Reset(fds[1]);
    };
    UniqueFd to_server_write;
    pipe(from_client_, client_out_);
    pipe(client_in_, to_client_);
    pipe(server_in_, to_server_write);
    pipe(from_server_, server_out_);
    for (const int fd : {from_client_.get(), to_client_.get(), to_server_write.get(), from_server_.get()}) {
      ::fcntl(fd, F_SETFL, O_NONBLOCK);
    }
    thread_ = std::jthread([this, to_server = to_server_write.Release()] {
      kept_ = Tap(*page_, from_client_.get(), to_client_.get(), from_server_.get(), to_server).Run();
      to_client_.Reset();
    });
  }
  void TearDown() override {
    client_out_.Reset();
    server_out_.Reset();
    thread_.join();
  }

  static void Write(const UniqueFd& fd, const std::string& text) {
    ASSERT_EQ(::write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  static std::string Read(const UniqueFd& fd, std::size_t size) {
    std::string text(size, '\0');
    std::size_t got = 0;
    while (got < size) {
      const ssize_t n = ::read(fd.get(), text.data() + got, size - got);
      if (n <= 0) {
        break;
      }
      got += static_cast<std::size_t>(n);
    }
    text.resize(got);
    return text;
  }
  void Arm(Action action, std::uint8_t request, std::uint32_t skip = 0) {
    Fault& fault = page_->faults[0];
    fault.request = request;
    fault.skip = skip;
    fault.times = 1;
    fault.milliseconds = 20;
    fault.action = static_cast<std::uint32_t>(action);
    page_->armed = 1;
  }

  std::unique_ptr<SharedPage> page_ = std::make_unique<SharedPage>();
  UniqueFd client_out_, client_in_, server_in_, server_out_;
  bool kept_ = true;

 private:
  UniqueFd from_client_, to_client_, from_server_;
  std::jthread thread_;
};

TEST_F(TapTest, CountsRequestsSentTogetherAsOneTurn) {
  const std::string requests = Packet(kLstat, 1, U32(1) + "a") + Packet(kLstat, 2, U32(1) + "b");
  const std::string reply_1 = Packet(kStatusReply, 1, U32(2));
  const std::string reply_2 = Packet(kStatusReply, 2, U32(2));
  Write(client_out_, requests);
  EXPECT_EQ(Read(server_in_, requests.size()), requests);
  Write(server_out_, reply_1 + reply_2);
  EXPECT_EQ(Read(client_in_, reply_1.size() + reply_2.size()), reply_1 + reply_2);
  EXPECT_EQ(page_->turns, 1U);

  Write(client_out_, requests);
  EXPECT_EQ(Read(server_in_, requests.size()), requests);
  EXPECT_EQ(page_->turns, 2U);
  EXPECT_EQ(page_->requests[kLstat], 4U);
  EXPECT_EQ(page_->replies, 2U);
}

TEST_F(TapTest, CountsPayloadAndExtensionsByName) {
  const std::string write = Packet(kWrite, 1, U32(4) + "hndl" + U32(0) + U32(0) + U32(1000) + std::string(1000, 'x'));
  const std::string fsync = Packet(kExtended, 2, U32(17) + "fsync@openssh.com" + U32(4) + "hndl");
  const std::string data = Packet(103, 3, U32(500) + std::string(500, 'y'));
  Write(client_out_, write + fsync);
  EXPECT_EQ(Read(server_in_, write.size() + fsync.size()), write + fsync);
  Write(server_out_, data);
  EXPECT_EQ(Read(client_in_, data.size()), data);
  EXPECT_EQ(page_->bytes_written, 1000U);
  EXPECT_EQ(page_->bytes_read, 500U);
  EXPECT_EQ(page_->requests[*RequestByName("fsync")], 1U);
  EXPECT_EQ(page_->requests[kExtended], 0U);
}

TEST_F(TapTest, AnswersAFailureItselfAndKeepsTheRestGoing) {
  Arm(Action::kFail, kMkdir);
  const std::string before = Packet(kLstat, 1, U32(1) + "a");
  const std::string after = Packet(kLstat, 3, U32(1) + "b");
  Write(client_out_, before + Packet(kMkdir, 2, U32(3) + "dir" + U32(0)) + after);
  EXPECT_EQ(Read(server_in_, before.size() + after.size()), before + after);
  const std::string failure = Read(client_in_, 4);
  const std::string rest = Read(client_in_, static_cast<unsigned char>(failure[3]));
  EXPECT_EQ(rest.substr(0, 9), std::string(1, static_cast<char>(kStatusReply)) + U32(2) + U32(4));
}

TEST_F(TapTest, LosesTheNthRequestAndCuts) {
  Arm(Action::kLoseRequest, kMkdir, 1);
  const std::string first = Packet(kMkdir, 1, U32(1) + "a" + U32(0));
  Write(client_out_, first + Packet(kMkdir, 2, U32(1) + "b" + U32(0)));
  EXPECT_EQ(Read(client_in_, 1), "");  // the tap gave up
  client_out_.Reset();
  EXPECT_EQ(page_->faults_fired, 1U);
  EXPECT_EQ(Read(server_in_, first.size()), first);
}

TEST_F(TapTest, LosesTheReplyButNotTheRequest) {
  Arm(Action::kLoseReply, kMkdir);
  const std::string request = Packet(kMkdir, 2, U32(1) + "b" + U32(0));
  const std::string other = Packet(kStatusReply, 1, U32(0));
  Write(client_out_, request);
  EXPECT_EQ(Read(server_in_, request.size()), request);
  Write(server_out_, other + Packet(kStatusReply, 2, U32(0)));
  EXPECT_EQ(Read(client_in_, 1000), other);
  EXPECT_EQ(page_->faults_fired, 1U);
}

TEST_F(TapTest, DelaysARequestAndWhatIsBehindIt) {
  Arm(Action::kDelay, kMkdir);
  const auto start = std::chrono::steady_clock::now();
  const std::string requests = Packet(kMkdir, 1, U32(1) + "a" + U32(0)) + Packet(kLstat, 2, U32(1) + "a");
  Write(client_out_, requests);
  EXPECT_EQ(Read(server_in_, requests.size()), requests);
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(20));
  EXPECT_EQ(page_->requests[kMkdir], 1U);
}

}  // namespace
}  // namespace bt::tap
