#include "tests/contract/ssh_backend.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>

#include "tests/contract/local_server_side.h"
#include "tests/support/standin/standin.h"
#include "transport/access/credentials.h"
#include "transport/access/environment.h"
#include "transport/access/host_name.h"
#include "transport/lanes/lane_session.h"
#include "transport/node_dialer.h"
#include "transport/node_session.h"

namespace bt::contract {
namespace {

// Started by the first test that wants it, ended after the last.
class Service : public testing::Environment {
 public:
  // With one connection.
  RemoteFs& fs() {
    Start();
    if (single_ == nullptr) {
      single_ = Must(connections_->Dial(OpContext::WithTimeout(std::chrono::seconds(60))));
    }
    return single_->fs();
  }

  // With as many as the lanes want.
  RemoteFs& fs_of_lanes() {
    Start();
    if (several_ == nullptr) {
      lanes::LaneOptions options;
      options.connections = 2;
      options.worth_a_lane = 1;
      lanes_ = std::make_unique<lanes::LaneSessionDialer>(*connections_, options);
      several_ = Must(lanes_->Dial(OpContext::WithTimeout(std::chrono::seconds(60))));
    }
    return several_->fs();
  }

  void TearDown() override {
    single_.reset();
    several_.reset();
    lanes_.reset();
    connections_.reset();
    dialer_.reset();
    standin_.reset();
  }

 private:
  void Start() {
    if (standin_ != nullptr) {
      return;
    }
    standin::Options options;
    options.sshd.sftp = standin::SftpMode::kPlain;
    standin_ = Must(standin::Standin::Start(options));

    std::map<std::string, std::string> variables = standin_->Environment();
    // No files of whoever runs the tests: the key pair is made in memory.
    variables["HOME"] = standin_->directory();
    const auto environment = access::Environment::Of(std::move(variables));
    dialer_ = std::make_unique<NodeDialer>(Must(access::ParseTarget("demo123")),
                                           Must(access::FindCredentials(environment, {})),
                                           Must(ChooseKeyPair(environment)), DialerOptions::From(environment));
    connections_ = std::make_unique<NodeSessionDialer>(*dialer_);
  }

  std::unique_ptr<standin::Standin> standin_;
  std::unique_ptr<NodeDialer> dialer_;
  std::unique_ptr<NodeSessionDialer> connections_;
  std::unique_ptr<lanes::LaneSessionDialer> lanes_;
  std::shared_ptr<Session> single_;
  std::shared_ptr<Session> several_;
};

// GoogleTest owns it and tears it down.
auto* const kService = static_cast<Service*>(testing::AddGlobalTestEnvironment(new Service));

class SshBackend : public Backend {
 public:
  explicit SshBackend(RemoteFs& fs) : fs_(fs) {}
  RemoteFs& fs() override { return fs_; }
  ServerSide& server() override { return server_; }
  RemotePath root() const override { return server_.root(); }
  Traits traits() const override { return LocalServerSide::TraitsOfOpenSsh(); }

 private:
  RemoteFs& fs_;
  LocalServerSide server_;
};

}  // namespace

std::unique_ptr<Backend> MakeSshBackend() { return std::make_unique<SshBackend>(kService->fs()); }

std::unique_ptr<Backend> MakeLanesBackend() { return std::make_unique<SshBackend>(kService->fs_of_lanes()); }

}  // namespace bt::contract
