#include "transport/sftp/sftp_client.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/support/sftp_pipe/fake_server_channel.h"

namespace bt::sftp {
namespace {

using test::AttrsReply;
using test::FakeServerChannel;
using test::GreetingThen;
using test::HandleReply;
using test::SeenRequest;
using test::StatusReply;
using test::VersionReply;

constexpr std::size_t kGreetings = 2;  // INIT and the question for limits

OpContext Patient() { return OpContext::WithTimeout(std::chrono::seconds(30)); }
OpContext Expired() { return OpContext{Clock::now() - std::chrono::seconds(1), {}}; }

class SftpClientTest : public testing::Test {
 protected:
  // A client whose server answers nothing but the greeting, unless `script` does.
  void Connect(FakeServerChannel::Script script = nullptr) {
    auto channel = std::make_unique<FakeServerChannel>(GreetingThen(std::move(script)));
    server_ = channel.get();
    Result<std::unique_ptr<SftpClient>> opened = SftpClient::Open(Patient(), std::move(channel));
    ASSERT_TRUE(opened.ok()) << Describe(opened.error());
    client_ = std::move(opened).value();
  }

  SeenRequest Seen(std::size_t index) {
    return server_->WaitForRequests(kGreetings + index + 1).at(kGreetings + index);
  }

  // Blocks until everything fed so far has been handled.
  void Settle() {
    SftpClient::Call call = client_->Submit(LstatRequest("/settle"));
    const std::vector<SeenRequest> seen = server_->WaitForRequests(server_->WaitForRequests(0).size());
    server_->Feed(AttrsReply(seen.back().id, 0));
    EXPECT_TRUE(call.Await(Patient()).ok());
  }

  FakeServerChannel* server_ = nullptr;
  std::unique_ptr<SftpClient> client_;
};

TEST_F(SftpClientTest, AnswersGoToTheirRequestsInAnyOrder) {
  Connect();
  std::vector<Request> requests;
  for (int i = 0; i < 100; ++i) {
    requests.push_back(LstatRequest("/" + std::to_string(i)));
  }
  std::vector<SftpClient::Call> calls = client_->Submit(std::move(requests));
  const std::vector<SeenRequest> seen = server_->WaitForRequests(kGreetings + 100);
  EXPECT_EQ(client_->in_flight(), 100U);
  for (std::size_t i = 100; i-- > 0;) {
    server_->Feed(AttrsReply(seen[kGreetings + i].id, i));
  }
  for (std::size_t i = 0; i < 100; ++i) {
    const Result<WireAttributes> answer = client_->Take(Patient(), std::move(calls[i]), DecodeAttributes);
    ASSERT_TRUE(answer.ok());
    EXPECT_EQ(answer->values.size, i);
  }
  EXPECT_EQ(client_->in_flight(), 0U);
}

TEST_F(SftpClientTest, ABatchIsSentInItsOrderWithNothingInBetween) {
  Connect();
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < 50; ++i) {
        const std::string path = std::to_string(t) + "/" + std::to_string(i);
        std::vector<Request> pair;
        pair.push_back(LstatRequest(path + "/first"));
        pair.push_back(StatRequest(path + "/second"));
        client_->Submit(std::move(pair));
      }
    });
  }
  threads.clear();
  const std::vector<SeenRequest> seen = server_->WaitForRequests(kGreetings + 400);
  ASSERT_EQ(seen.size(), kGreetings + 400);
  for (std::size_t i = kGreetings; i < seen.size(); i += 2) {
    const std::string first(seen[i].Reader().String());
    const std::string second(seen[i + 1].Reader().String());
    EXPECT_EQ(first.substr(0, first.rfind('/')), second.substr(0, second.rfind('/')));
  }
}

TEST_F(SftpClientTest, AContextThatIsOverSendsNothing) {
  Connect();
  const Result<WireAttributes> answer = client_->Ask(Expired(), LstatRequest("/a"), DecodeAttributes);
  EXPECT_EQ(answer.error().code, Code::kTimedOut);
  EXPECT_EQ(answer.error().fate, Fate::kNotSent);
  EXPECT_EQ(server_->WaitForRequests(0).size(), kGreetings);
}

TEST_F(SftpClientTest, ADeadlineEndsTheWaitWithAnUnknownFate) {
  Connect();
  SftpClient::Call call = client_->Submit(LstatRequest("/a"));
  const Result<Reply> answer = call.Await(OpContext::WithTimeout(std::chrono::milliseconds(10)));
  EXPECT_EQ(answer.error().code, Code::kTimedOut);
  EXPECT_EQ(answer.error().fate, Fate::kUnknown);
  EXPECT_EQ(client_->waiting(), 0U);
}

TEST_F(SftpClientTest, ACancelledCallerReturnsWhileTheRequestGoesOn) {
  Connect();
  std::stop_source cancel;
  std::jthread interrupter([&] {
    while (client_->waiting() == 0) {
      std::this_thread::yield();
    }
    cancel.request_stop();
  });
  const Result<WireAttributes> answer =
      client_->Ask(OpContext{TimePoint::max(), cancel.get_token()}, LstatRequest("/a"), DecodeAttributes);
  EXPECT_EQ(answer.error().code, Code::kInterrupted);
  EXPECT_EQ(answer.error().fate, Fate::kUnknown);
  EXPECT_EQ(client_->in_flight(), 1U);
}

TEST_F(SftpClientTest, ALateReplyIsDropped) {
  Connect();
  { SftpClient::Call call = client_->Submit(LstatRequest("/a")); }
  server_->Feed(AttrsReply(Seen(0).id, 1));
  Settle();
  EXPECT_EQ(client_->in_flight(), 0U);
  EXPECT_FALSE(client_->closed());
}

TEST_F(SftpClientTest, ALateHandleIsClosed) {
  Connect();
  { SftpClient::Call call = client_->Submit(OpenRequest("/a", kOpenRead, {})); }
  server_->Feed(HandleReply(Seen(0).id, "late"));
  const SeenRequest close = Seen(1);
  EXPECT_EQ(close.type, MessageType::kClose);
  EXPECT_EQ(close.Reader().String(), "late");
  server_->Feed(StatusReply(close.id, StatusCode::kOk));
  Settle();
  EXPECT_EQ(client_->in_flight(), 0U);
}

TEST_F(SftpClientTest, AHandleThatCameButWasNotTakenIsClosed) {
  Connect();
  {
    SftpClient::Call call = client_->Submit(OpenRequest("/a", kOpenRead, {}));
    server_->Feed(HandleReply(Seen(0).id, "unwanted"));
    Settle();
  }
  const SeenRequest close = Seen(2);
  EXPECT_EQ(close.type, MessageType::kClose);
  EXPECT_EQ(close.Reader().String(), "unwanted");
}

TEST_F(SftpClientTest, AnUnknownIdEndsTheChannelAndNotTheProcess) {
  Connect();
  SftpClient::Call call = client_->Submit(LstatRequest("/a"));
  server_->Feed(AttrsReply(Seen(0).id + 77, 1));
  const Result<Reply> answer = call.Await(Patient());
  EXPECT_EQ(answer.error().code, Code::kProtocol);
  EXPECT_EQ(answer.error().tag, "sftp.bad-id");
  EXPECT_EQ(answer.error().fate, Fate::kUnknown);
  EXPECT_TRUE(server_->WaitForEnd().has_value());
}

TEST_F(SftpClientTest, AReplyGivenTwiceEndsTheChannel) {
  Connect();
  SftpClient::Call call = client_->Submit(LstatRequest("/a"));
  const std::uint32_t id = Seen(0).id;
  server_->Feed(AttrsReply(id, 1));
  server_->Feed(AttrsReply(id, 2));
  EXPECT_TRUE(call.Await(Patient()).ok());
  EXPECT_EQ(server_->WaitForEnd()->tag, "sftp.bad-id");
}

TEST_F(SftpClientTest, AReplyOfTheWrongTypeEndsTheChannel) {
  Connect();
  SftpClient::Call call = client_->Submit(LstatRequest("/a"));
  server_->Feed(HandleReply(Seen(0).id, "h"));
  EXPECT_EQ(call.Await(Patient()).error().tag, "sftp.bad-type");
}

TEST_F(SftpClientTest, AMalformedReplyEndsTheChannelForAll) {
  Connect();
  SftpClient::Call victim = client_->Submit(LstatRequest("/a"));
  SftpClient::Call bystander = client_->Submit(LstatRequest("/b"));
  server_->Feed(PacketWriter(MessageType::kAttrs, 0).U32(Seen(0).id).U32(kAttrSize).Take());
  EXPECT_EQ(client_->Take(Patient(), std::move(victim), DecodeAttributes).error().tag, "sftp.bad-packet");
  EXPECT_EQ(bystander.Await(Patient()).error().code, Code::kProtocol);
}

TEST_F(SftpClientTest, AnImpossibleLengthEndsTheChannel) {
  Connect();
  SftpClient::Call call = client_->Submit(LstatRequest("/a"));
  server_->Feed(std::vector<std::byte>(4, std::byte{0xff}));
  EXPECT_EQ(call.Await(Patient()).error().tag, "sftp.bad-length");
}

TEST_F(SftpClientTest, TheEndOfTheChannelTellsEachRequestItsFate) {
  Connect();
  std::vector<Request> requests(4, LstatRequest("/a"));
  std::vector<SftpClient::Call> calls = client_->Submit(std::move(requests));
  server_->End(Error{Code::kDisconnected, "cut", "test.cut"}, kGreetings + 3);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const Result<Reply> answer = calls[i].Await(Patient());
    EXPECT_EQ(answer.error().code, Code::kDisconnected);
    EXPECT_EQ(answer.error().tag, "test.cut");
    EXPECT_EQ(answer.error().fate, i < 3 ? Fate::kUnknown : Fate::kNotSent);
  }
  EXPECT_TRUE(client_->closed());
  EXPECT_EQ(client_->Submit(LstatRequest("/b")).Await(Patient()).error().fate, Fate::kNotSent);
}

TEST_F(SftpClientTest, CloseWakesEveryWaiter) {
  Connect();
  std::vector<std::jthread> waiters;
  for (int i = 0; i < 4; ++i) {
    waiters.emplace_back([this] {
      EXPECT_EQ(client_->Ask({}, LstatRequest("/a"), DecodeAttributes).error().code, Code::kDisconnected);
    });
  }
  while (client_->waiting() < 4) {
    std::this_thread::yield();
  }
  client_->Close(Error{Code::kDisconnected, "over", "test.over"});
}

TEST_F(SftpClientTest, MayBeDestroyedWithRequestsAbandoned) {
  Connect();
  for (int i = 0; i < 10; ++i) {
    client_->Submit(OpenRequest("/a", kOpenRead, {}));
  }
  server_->Feed(HandleReply(Seen(0).id, "h"));
  client_.reset();
}

TEST_F(SftpClientTest, ARequestThatNoServerAcceptsIsNotSent) {
  Connect();
  const std::string path(kMaxRequestBytes, 'x');
  const Result<WireAttributes> answer = client_->Ask(Patient(), LstatRequest(path), DecodeAttributes);
  EXPECT_EQ(answer.error().code, Code::kTooBig);
  EXPECT_EQ(answer.error().fate, Fate::kNotSent);
  Settle();
}

TEST_F(SftpClientTest, RemembersWhenTheServerLastSpoke) {
  Connect();
  const TimePoint before = client_->last_received();
  Settle();
  EXPECT_GE(client_->last_received(), before);
}

TEST(SftpClientOpen, AsksForLimitsInTheRoundTripOfTheGreeting) {
  auto channel = std::make_unique<FakeServerChannel>();
  FakeServerChannel* server = channel.get();
  std::jthread answerer([server] {
    const std::vector<SeenRequest> seen = server->WaitForRequests(2);
    server->Feed(VersionReply({{"limits@openssh.com", "1"}, {"fsync@openssh.com", "1"}}));
    server->Feed(PacketWriter(MessageType::kExtendedReply, 36)
                     .U32(seen[1].id)
                     .U64(262144)
                     .U64(100000)
                     .U64(50000)
                     .U64(17)
                     .Take());
  });
  const Result<std::unique_ptr<SftpClient>> client = SftpClient::Open(Patient(), std::move(channel));
  ASSERT_TRUE(client.ok());
  const ServerFeatures& features = (*client)->server();
  EXPECT_TRUE(features.fsync);
  EXPECT_FALSE(features.posix_rename);
  EXPECT_EQ(features.max_read, 100000U);
  EXPECT_EQ(features.max_write, 50000U);
  EXPECT_EQ(features.max_handles, 17U);
}

TEST(SftpClientOpen, FailsClearlyWhateverComesInsteadOfAGreeting) {
  const auto open_with = [](std::vector<std::byte> bytes) {
    auto channel = std::make_unique<FakeServerChannel>();
    channel->Feed(std::move(bytes));
    return SftpClient::Open(Patient(), std::move(channel)).error();
  };
  EXPECT_EQ(open_with(VersionReply({}, 2)).tag, "sftp.version");
  EXPECT_EQ(open_with(VersionReply({}, 6)).tag, "sftp.version");
  EXPECT_EQ(open_with(StatusReply(1, StatusCode::kOk)).code, Code::kProtocol);
  const std::string_view text = "motd\n";
  const auto bytes = std::as_bytes(std::span(text));
  EXPECT_EQ(open_with({bytes.begin(), bytes.end()}).tag, "sftp.bad-banner");
}

TEST(SftpClientOpen, ASilentServerCostsTheDeadline) {
  const Result<std::unique_ptr<SftpClient>> client =
      SftpClient::Open(OpContext::WithTimeout(std::chrono::milliseconds(20)), std::make_unique<FakeServerChannel>());
  EXPECT_EQ(client.error().code, Code::kTimedOut);
}

TEST(SftpClientOpen, AChannelThatEndsGivesItsReason) {
  auto channel = std::make_unique<FakeServerChannel>();
  channel->End(Error{Code::kUnsupported, "no sftp subsystem", "ssh.subsystem"}, 0);
  const Result<std::unique_ptr<SftpClient>> client = SftpClient::Open(Patient(), std::move(channel));
  EXPECT_EQ(client.error().tag, "ssh.subsystem");
  EXPECT_EQ(client.error().fate, Fate::kNotSent);
}

}  // namespace
}  // namespace bt::sftp
