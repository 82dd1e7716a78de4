// What -o and the other options of a mount do.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>

#include "tests/e2e/mounted_workspace.h"
#include "tests/e2e/tree.h"

namespace bt::e2e {
namespace {

class MountOptionsTest : public ServiceTest {
 protected:
  // The line of this mount in the table: source, mount point, type, options.
  std::string TableLine() const {
    std::ifstream table("/proc/self/mounts");
    for (std::string line; std::getline(table, line);) {
      if (line.find(" " + mount().string() + " ") != std::string::npos) {
        return line;
      }
    }
    return {};
  }
};

TEST_F(MountOptionsTest, ReadOnlyRefusesEveryChange) {
  WriteFile(server() / "f", "text");
  Mount({"-o", "ro"});
  EXPECT_EQ(ReadFile(mount() / "f"), "text");
  const auto expect_refused = [](int answer) {
    EXPECT_EQ(answer, -1);
    EXPECT_EQ(errno, EROFS);
  };
  expect_refused(::open((mount() / "f").c_str(), O_WRONLY | O_CLOEXEC));
  expect_refused(::open((mount() / "new").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  expect_refused(::mkdir((mount() / "d").c_str(), 0755));
  expect_refused(::unlink((mount() / "f").c_str()));
  expect_refused(::rename((mount() / "f").c_str(), (mount() / "g").c_str()));
  expect_refused(::chmod((mount() / "f").c_str(), 0600));
  expect_refused(::truncate((mount() / "f").c_str(), 0));
  expect_refused(::symlink("x", (mount() / "link").c_str()));
  expect_refused(::access((mount() / "f").c_str(), W_OK));
  EXPECT_EQ(ReadFile(server() / "f"), "text");
}

TEST_F(MountOptionsTest, OwnersAndPermissionsAreShownAsAsked) {
  WriteFile(server() / "f", "text");
  ASSERT_EQ(::chmod((server() / "f").c_str(), 0777), 0);
  Mount({"-o", "uid=4321,gid=8765,umask=027"});
  struct stat found {};
  ASSERT_EQ(::stat((mount() / "f").c_str(), &found), 0);
  EXPECT_EQ(found.st_uid, 4321U);
  EXPECT_EQ(found.st_gid, 8765U);
  EXPECT_EQ(found.st_mode & 07777U, 0750U);
}

TEST_F(MountOptionsTest, TheTableOfMountsSaysWhatItIs) {
  Mount({"-o", "fsname=my-job,noexec,rw,_netdev", "-o", "x-systemd.automount"});
  const std::string line = TableLine();
  EXPECT_TRUE(line.starts_with("my-job ")) << line;
  for (const char* word : {" fuse.bt-mount ", "nosuid", "nodev", "noexec"}) {
    EXPECT_NE(line.find(word), std::string::npos) << line;
  }
}

TEST_F(MountOptionsTest, TheSourceIsTheJobAndItsDirectoryUnlessNamed) {
  Mount();
  EXPECT_TRUE(TableLine().starts_with("demo123-0:" + server().string() + " ")) << TableLine();
}

TEST_F(MountOptionsTest, OthersMayLookInWhenAllowed) {
  WriteFile(server() / "f", "text");
  ASSERT_EQ(::chmod(directory().c_str(), 0755), 0);
  Mount({"-o", "allow_other,default_permissions"});
  const Finished read = Run({"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat", mount() / "f"});
  EXPECT_EQ(read.out, "text") << read.err;
  const Finished written = Run({"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "touch", mount() / "g"});
  EXPECT_NE(written.exit_code, 0);
}

TEST_F(MountOptionsTest, NobodyElseMayLookInByDefault) {
  WriteFile(server() / "f", "text");
  ASSERT_EQ(::chmod(directory().c_str(), 0755), 0);
  Mount();
  const Finished read = Run({"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat", mount() / "f"});
  EXPECT_NE(read.exit_code, 0);
}

TEST_F(MountOptionsTest, InTheForegroundItServesUntilCtrlCAndLogsToTheTerminal) {
  const auto program = StartBtMount({"demo123", mount().string(), "-f"});
  const auto deadline = std::chrono::steady_clock::now() + mount_timeout_;
  while (program->OutputSoFar().find("Mounted") == std::string::npos && std::chrono::steady_clock::now() < deadline) {
    ::usleep(20'000);
  }
  EXPECT_TRUE(IsMounted(mount())) << program->OutputSoFar();
  WriteFile(mount() / "f", "text");
  program->Signal(SIGINT);
  const Finished ended = program->Wait(mount_timeout_);
  EXPECT_EQ(ended.exit_code, 0) << ended.all();
  EXPECT_FALSE(IsMounted(mount()));
  EXPECT_EQ(ReadFile(server() / "f"), "text");
  EXPECT_EQ(Log(), "");
}

TEST_F(MountOptionsTest, DebuggingLogsEachRequest) {
  WriteFile(server() / "f", "secret text");
  Mount({"--debug"});
  EXPECT_EQ(ReadFile(mount() / "f"), "secret text");
  EXPECT_EQ(::access((mount() / "nothing").c_str(), F_OK), -1);
  // Each is logged once it is answered, and nobody waits for that.
  const auto deadline = std::chrono::steady_clock::now() + mount_timeout_;
  for (const char* telling : {"lookup #1/f: done after ", "open #", "read #", "release #", "lookup #1/nothing: "}) {
    while (Log().find(telling) == std::string::npos) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << telling << "\n" << Log();
      ::usleep(20'000);
    }
  }
  EXPECT_EQ(Log().find("secret text"), std::string::npos);
}

TEST_F(MountOptionsTest, WithoutAMountPointItIsTheJobBelowHome) {
  const Finished mounted = BtMount({"demo123"});
  ASSERT_EQ(mounted.exit_code, 0) << mounted.all();
  EXPECT_TRUE(IsMounted(home() / "baseten/demo123/0"));
  WriteFile(home() / "baseten/demo123/0/f", "text");
  EXPECT_EQ(ReadFile(server() / "f"), "text");
  EXPECT_NE(Log().find("mounted demo123-0"), std::string::npos) << Log();
}

TEST_F(MountOptionsTest, UnmountingSaysSoAndRefusesWhatIsNoMount) {
  Mount();
  const Finished elsewhere = BtMount({"unmount", local().string()});
  EXPECT_NE(elsewhere.exit_code, 0);
  EXPECT_NE(elsewhere.err.find("nothing is mounted"), std::string::npos) << elsewhere.err;
  const UniqueFd busy(::open(mount().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const Finished refused = BtMount({"unmount", mount().string()});
  EXPECT_NE(refused.exit_code, 0);
  EXPECT_NE(refused.err.find("busy"), std::string::npos) << refused.err;
  EXPECT_TRUE(IsMounted(mount()));
}

TEST_F(MountOptionsTest, UnmountedByTheSystemsToolItsProcessEndsToo) {
  Mount();
  const pid_t daemon = Daemon();
  EXPECT_EQ(Run({"fusermount3", "-u", mount().string()}).exit_code, 0);
  EXPECT_EQ(WaitForChild(daemon, mount_timeout_), 0);
}

}  // namespace
}  // namespace bt::e2e
