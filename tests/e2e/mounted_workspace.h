// Fixtures of the end-to-end tests: a stand-in of the service, a home directory of their own, and the real bt-mount,
// in the background as people run it.
//
// What they assert at the end of every test: bt-mount unmounts, its process ends with 0, no process and no mount is
// left, and no sanitizer has written a report.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "tests/e2e/program.h"
#include "tests/support/standin/standin.h"

namespace bt::e2e {

// A stand-in of the service, and nothing mounted yet.
class ServiceTest : public testing::Test {
 public:
  ServiceTest();
  ~ServiceTest() override;
  ServiceTest(const ServiceTest&) = delete;
  ServiceTest& operator=(const ServiceTest&) = delete;

 protected:
  void SetUp() override { StartService({}); }
  void TearDown() override;

  // Starts it (or another one in its place) and sets environment_ to it.
  void StartService(const standin::Options& options);

  // Runs bt-mount with these words to its end, which in the background is when it is mounted or has failed.
  Finished BtMount(const Words& words);
  // The same, in the midst of things.
  std::unique_ptr<Program> StartBtMount(const Words& words);
  // Any other program.
  Finished Run(const Words& argv, std::chrono::seconds timeout = std::chrono::seconds(120));
  // A shell command, in `mount()`; $M is the mount, $S the server's directory, $D a local directory.
  Finished Shell(const std::string& command, std::chrono::seconds timeout = std::chrono::seconds(120));

  // Mounts `target` at mount() with more words, and asserts that it works.
  void Mount(const Words& more = {}, const std::string& target = "demo123");
  // Ends a mount as people do, and asserts that its process ends well.
  void Unmount(const std::filesystem::path& mount_point);

  // The process that serves the one mount of this test; -1: none.
  static pid_t Daemon();
  static bool IsMounted(const std::filesystem::path& mount_point);
  // Everything that bt-mount has logged in the background.
  std::string Log() const;

  // Asserts that bt-mount with these words fails, that nothing is mounted then and no process left; gives its words.
  Finished ExpectFailure(const Words& words);
  // The same, and that what it says holds each of `telling`.
  void ExpectRefusal(const Words& words, const std::vector<std::string>& telling);

  standin::Standin& service() { return *service_; }
  std::filesystem::path server(int node = 0) { return service_->node(node).directory(); }
  const std::filesystem::path& directory() const { return directory_; }
  std::filesystem::path home() const { return directory_ / "home"; }
  std::filesystem::path mount() const { return directory_ / "mnt"; }
  std::filesystem::path local() const { return directory_ / "local"; }

  std::map<std::string, std::string> environment_;  // of all programs
  std::chrono::seconds mount_timeout_{60};

 private:
  ProgramOptions HowToRun() const;
  void ExpectNoSanitizerReport() const;

  std::filesystem::path directory_;
  std::unique_ptr<standin::Standin> service_;
};

// The workspace of node 0, mounted.
class MountedWorkspace : public ServiceTest {
 protected:
  void SetUp() override {
    ServiceTest::SetUp();
    if (!HasFatalFailure()) {
      Mount();
    }
  }
};

}  // namespace bt::e2e
