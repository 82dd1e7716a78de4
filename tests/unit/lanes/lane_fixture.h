// A session of several connections to the stand-in of the service, with everything real: API, TLS, proxy, sshd. The
// dialler can be made to refuse, and remembers what it made.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/standin/standin.h"
#include "transport/base/sync.h"
#include "transport/base/units.h"
#include "transport/lanes/lane_session.h"
#include "transport/node_dialer.h"
#include "transport/node_session.h"

namespace bt::lanes {

// Makes real connections; some of them fail or show another host key when told so.
class RecordingDialer final : public LaneDialer {
 public:
  explicit RecordingDialer(NodeDialer& node) : below_(node) {}

  Result<std::shared_ptr<LaneConnection>> DialLane(const OpContext& ctx) override;

  // All but the first are refused, or show this key.
  void RefuseLanes(bool refuse) { refuse_ = refuse; }
  void PretendHostKey(std::string key);
  int dials() const { return dials_; }

 private:
  NodeSessionDialer below_;
  std::atomic<int> dials_{0};
  std::atomic<bool> refuse_{false};
  Mutex mutex_;
  std::string host_key_ GUARDED_BY(mutex_);
};

class LaneTest : public testing::Test {
 protected:
  LaneTest();
  ~LaneTest() override;

  // Two lanes that come at once, unless told otherwise.
  static LaneOptions Eager();
  void Connect(const LaneOptions& options = Eager());
  RemoteFs& fs() { return session_->fs(); }

  // A file of the server with content that follows from its name, long at rest.
  std::string MakeFile(const std::string& name, std::size_t size);
  static std::string Content(const std::string& name, std::size_t size);
  RemotePath Path(const std::string& name) const;
  std::string LocalPath(const std::string& name) const;
  std::unique_ptr<RemoteFile> Open(const std::string& name, const OpenFlags& flags = {.read = true});

  // Many threads, 1 MiB at a time, as the read-ahead and the write buffer do. The first error, if any.
  static Result<std::string> ReadAll(RemoteFile& file, std::size_t size, unsigned threads = 16);
  static Status WriteAll(RemoteFile& file, const std::string& content, unsigned threads = 16);
  // Opens lanes by transferring until as many connections are open.
  void ReadUntilConnections(RemoteFile& file, std::size_t size, unsigned connections);
  // True once it is; false after a long time.
  static bool Eventually(const std::function<bool()>& condition);
  // Ends the server's process of the youngest connection, as a container short of memory does.
  void KillYoungestServer();
  // Sessions that serve a connection now, oldest first.
  std::vector<pid_t> Servers() const;

  std::unique_ptr<standin::Standin> standin_;
  std::unique_ptr<NodeDialer> node_;
  std::unique_ptr<RecordingDialer> dialer_;
  std::unique_ptr<LaneSessionDialer> sessions_;
  std::shared_ptr<Session> session_;
};

inline OpContext Soon() { return OpContext::WithTimeout(std::chrono::seconds(40)); }

}  // namespace bt::lanes
