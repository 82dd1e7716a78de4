#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <thread>

#include "tests/unit/lanes/lane_fixture.h"

namespace bt::lanes {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kBig = 48_MiB;
constexpr OpenFlags kNew{.write = true, .create = true, .exclusive = true};

class WriteTest : public LaneTest {
 protected:
  std::string OnServer(const std::string& name) const {
    std::ifstream file(LocalPath(name), std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  std::uint64_t Requests(const std::string& name) const {
    const auto requests = standin_->counters().sftp.requests;
    const auto found = requests.find(name);
    return found == requests.end() ? 0 : found->second;
  }
  std::uint64_t Opens() const { return Requests("open"); }
  void ExpectLostWriteToEndTheSession(const Status& written) {
    ASSERT_FALSE(written.ok());
    EXPECT_EQ(written.error().fate, Fate::kUnknown) << Describe(written.error());
    EXPECT_TRUE(Eventually([this] { return session_->ended().has_value(); }));
    // Whoever sends the write again must know whom to wait for.
    const auto unsettled = session_->unsettled_servers();
    EXPECT_FALSE(unsettled.empty());
    EXPECT_TRUE(std::ranges::all_of(unsettled, [](const auto& server) { return server.has_value(); }));
  }
};

class BulkWriteTest : public WriteTest {
 protected:
  // With lanes that are up.
  void SetUp() override {
    MakeFile("warm", 24_MiB);
    standin_->SetRtt(10ms);
    Connect();
    ReadUntilConnections(*Open("warm"), 24_MiB, 3);
    // Until the channels are all there, and nothing of what made them is under way.
    ASSERT_TRUE(Eventually([this] { return Requests("init") >= 7; }));
    ASSERT_TRUE(Eventually([this] {
      const std::uint64_t opens = Opens();
      std::this_thread::sleep_for(200ms);
      return opens == Opens();
    }));
  }
};

// Without bulk lanes.
class WriteBesideTest : public WriteTest {
 protected:
  void SetUp() override {
    standin_->SetRtt(10ms);
    LaneOptions options = Eager();
    options.connections = 0;
    Connect(options);
  }
};

TEST_F(BulkWriteTest, ANewFileIsWrittenOverSeveralChannels) {
  const std::uint64_t opens_before = Opens();
  const std::string content = Content("new", kBig);
  auto file = Open("new", kNew);
  ASSERT_TRUE(WriteAll(*file, content).ok());
  ASSERT_TRUE(file->Sync(Soon()).ok());
  EXPECT_TRUE(OnServer("new") == content);
  EXPECT_GE(Opens() - opens_before, 4U);
  ASSERT_TRUE(WriteAll(*file, Content("again", kBig)).ok());  // over what is there, by the handles that are proved
  EXPECT_TRUE(OnServer("new") == Content("again", kBig));
}

TEST_F(BulkWriteTest, AFileWrittenInPlaceKeepsToOneHandle) {
  MakeFile("old", kBig);
  const std::uint64_t opens_before = Opens();
  const auto file = Open("old", {.write = true});
  ASSERT_TRUE(WriteAll(*file, Content("new", kBig)).ok());
  EXPECT_TRUE(OnServer("old") == Content("new", kBig));
  EXPECT_EQ(Opens() - opens_before, 1U);
}

TEST_F(BulkWriteTest, AnAppendingHandleIsTheOnlyOne) {
  const std::uint64_t opens_before = Opens();
  OpenFlags flags = kNew;
  flags.append = true;
  const auto file = Open("log", flags);
  ASSERT_TRUE(WriteAll(*file, Content("log", kBig), 1).ok());
  EXPECT_TRUE(OnServer("log") == Content("log", kBig));
  EXPECT_EQ(Opens() - opens_before, 1U);
}

TEST_F(BulkWriteTest, AFileThatTookTheNameIsNeverWrittenTo) {
  const std::string content = Content("new", kBig);
  const std::string innocent = Content("innocent", kBig);
  const auto file = Open("new", kNew);
  ASSERT_EQ(std::rename(LocalPath("new").c_str(), LocalPath("moved").c_str()), 0);
  std::ofstream(LocalPath("new"), std::ios::binary) << innocent.substr(0, 5_MiB);
  ASSERT_TRUE(WriteAll(*file, content).ok());
  EXPECT_TRUE(OnServer("moved") == content);
  EXPECT_TRUE(OnServer("new") == innocent.substr(0, 5_MiB));
}

TEST_F(BulkWriteTest, ALaneThatDiesWithAWriteEndsTheSession) {
  const std::string content = Content("new", kBig);
  const auto file = Open("new", kNew);
  ASSERT_TRUE(WriteAll(*file, content).ok());
  EXPECT_TRUE(session_->unsettled_servers().empty());
  ASSERT_TRUE(standin_->node(0).ArmFault({.action = tap::Action::kLoseReply, .request = "write", .times = 0}).ok());
  std::jthread killer([this] {
    EXPECT_TRUE(Eventually([this] { return standin_->counters().sftp.faults_fired >= 2; }));
    const auto servers = Servers();
    for (std::size_t i = 1; i < servers.size(); ++i) {
      ::kill(servers[i], SIGKILL);
    }
  });
  ExpectLostWriteToEndTheSession(WriteAll(*file, content, 4));
}

TEST_F(WriteBesideTest, ANewFileIsWrittenOverTwoChannelsOfTheFirstConnection) {
  const std::string content = Content("new", kBig);
  const auto file = Open("new", kNew);
  ASSERT_TRUE(WriteAll(*file, content).ok());
  ASSERT_TRUE(file->Sync(Soon()).ok());
  EXPECT_TRUE(OnServer("new") == content);
  EXPECT_EQ(Requests("init"), 2U);
  EXPECT_EQ(session_->connections(), 1U);
}

TEST_F(WriteBesideTest, AWriteThatIsLostOnTheSecondChannelEndsTheSession) {
  const std::string content = Content("new", kBig);
  const auto file = Open("new", kNew);
  ASSERT_TRUE(WriteAll(*file, content).ok());
  EXPECT_TRUE(session_->unsettled_servers().empty());
  ASSERT_TRUE(standin_->node(0).ArmFault({.action = tap::Action::kLoseReply, .request = "write"}).ok());
  ExpectLostWriteToEndTheSession(WriteAll(*file, content, 1));  // one at a time goes there
}

}  // namespace
}  // namespace bt::lanes
