#include "fs/app/control_socket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <string>

namespace bt::app {
namespace {

using std::chrono::seconds;

class ControlSocketTest : public testing::Test {
 protected:
  ControlSocketTest() {
    std::string name = "/tmp/bt-control-XXXXXX";
    directory_ = ::mkdtemp(name.data());
    ::setenv("XDG_RUNTIME_DIR", directory_.c_str(), 1);
  }
  ~ControlSocketTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  std::unique_ptr<ControlSocket> Open() {
    auto socket = ControlSocket::Open({[] {
                                         MountStatus status;
                                         status.mount_point = "/mnt/x";
                                         status.unwritten_files = {{"/data/\xff odd", 7}};
                                         status.link = "backing off";
                                         return status;
                                       },
                                       [this](bool force) { stopped_ = force ? 2 : 1; }});
    EXPECT_TRUE(socket.ok());
    return std::move(socket).value();
  }

  std::filesystem::path directory_;
  std::atomic<int> stopped_{0};
};

TEST_F(ControlSocketTest, AnswersItsStatus) {
  const auto socket = Open();
  const auto mounts = FindMounts(seconds(5));
  ASSERT_EQ(mounts.size(), 1U);
  EXPECT_EQ(mounts[0].status.mount_point, "/mnt/x");
  EXPECT_EQ(mounts[0].status.link, "backing off");
  ASSERT_EQ(mounts[0].status.unwritten_files.size(), 1U);
  EXPECT_EQ(mounts[0].status.unwritten_files[0].bytes, 7U);
}

TEST_F(ControlSocketTest, IsClosedToOthers) {
  const auto socket = Open();
  struct stat found {};
  ASSERT_EQ(::stat(socket->path().c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777U, 0600U);
  ASSERT_EQ(::stat(socket->path().parent_path().c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777U, 0700U);
}

TEST_F(ControlSocketTest, FolderThatIsOpenToOthersIsRefused) {
  std::filesystem::create_directory(directory_ / "bt-mount");
  ::chmod((directory_ / "bt-mount").c_str(), 0777);
  EXPECT_FALSE(ControlDirectory().ok());
}

TEST_F(ControlSocketTest, SocketOfTheDeadIsRemoved) {
  const auto dead = Open()->path().parent_path() / "1.sock";
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  dead.string().copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ::close(fd);
  ASSERT_TRUE(std::filesystem::exists(dead));
  EXPECT_TRUE(FindMounts(seconds(5)).empty());
  EXPECT_FALSE(std::filesystem::exists(dead));
}

TEST_F(ControlSocketTest, StopIsPassedOn) {
  const auto socket = Open();
  ASSERT_TRUE(AskMount(socket->path(), R"({"command":"stop","force":true})", seconds(5)).ok());
  EXPECT_EQ(stopped_, 2);
}

TEST_F(ControlSocketTest, FollowerHearsTheLastWord) {
  const auto socket = Open();
  auto follower = Follower::Connect(socket->path());
  ASSERT_TRUE(follower.ok());
  std::promise<void> heard;
  std::atomic<int> lines{0};
  auto ending = std::async(std::launch::async, [&] {
    return follower->Await(seconds(20), [&](const MountStatus&) {
      if (lines++ == 0) {
        heard.set_value();
      }
    });
  });
  heard.get_future().wait();
  MountStatus last;
  last.mount_point = "/mnt/x";
  last.end_error = "lost";
  socket->Finish(last);
  const auto word = ending.get();
  ASSERT_TRUE(word.ok());
  EXPECT_EQ(word->end_error, "lost");
}

TEST_F(ControlSocketTest, SilentClientDoesNotKeepOthersWaitingForLong) {
  const auto socket = Open();
  auto silent = Follower::Connect(socket->path());
  EXPECT_TRUE(AskMount(socket->path(), R"({"command":"status"})", seconds(5)).ok());
  EXPECT_FALSE(AskMount(socket->path(), R"({"command":"dance"})", seconds(5)).ok());
  EXPECT_FALSE(AskMount(socket->path(), "no json", seconds(5)).ok());
}

TEST(MountStatus, SurvivesItsJson) {
  MountStatus status;
  status.mount_point = "/mnt/x";
  status.link = "up";
  status.reconnects = 3;
  status.lost_writes = 2;
  status.unwritten_bytes = 5;
  const auto parsed = ParseStatus(ToJson(status));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(ToJson(*parsed), ToJson(status));
  EXPECT_FALSE(ParseStatus("[]"));
  EXPECT_FALSE(ParseStatus("{}"));
  EXPECT_TRUE(ParseStatus(R"({"mount_point":"x","link":7,"unwritten":{"files":[3]}})"));
}

}  // namespace
}  // namespace bt::app
