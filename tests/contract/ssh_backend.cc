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
#include "transport/node_dialer.h"

namespace bt::contract {
namespace {

// Started by the first test that wants it, ended after the last.
class Service : public testing::Environment {
 public:
  RemoteFs& fs() {
    if (node_.fs == nullptr) {
      Start();
    }
    return *node_.fs;
  }

  void TearDown() override {
    node_ = {};
    standin_.reset();
  }

 private:
  void Start() {
    standin::Options options;
    options.sshd.sftp = standin::SftpMode::kPlain;
    standin_ = Must(standin::Standin::Start(std::move(options)));

    std::map<std::string, std::string> variables = standin_->Environment();
    // No files of whoever runs the tests: the key pair is made in memory.
    variables["HOME"] = standin_->directory();
    const auto environment = access::Environment::Of(std::move(variables));
    NodeDialer dialer(Must(access::ParseTarget("demo123")), Must(access::FindCredentials(environment, {})),
                      Must(ChooseKeyPair(environment)), DialerOptions::From(environment));
    node_ = Must(dialer.Dial(OpContext::WithTimeout(std::chrono::seconds(60))));
  }

  std::unique_ptr<standin::Standin> standin_;
  DialedNode node_;
};

// GoogleTest owns it and tears it down.
auto* const kService = static_cast<Service*>(testing::AddGlobalTestEnvironment(new Service));

class SshBackend : public Backend {
 public:
  RemoteFs& fs() override { return kService->fs(); }
  ServerSide& server() override { return server_; }
  RemotePath root() const override { return server_.root(); }
  Traits traits() const override { return LocalServerSide::TraitsOfOpenSsh(); }

 private:
  LocalServerSide server_;
};

}  // namespace

std::unique_ptr<Backend> MakeSshBackend() { return std::make_unique<SshBackend>(); }

}  // namespace bt::contract
