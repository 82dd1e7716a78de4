// What the tests of the stand-in share: a running stand-in, real clients, and a raw API call.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/support/standin/client.h"
#include "tests/support/standin/standin.h"

namespace bt::standin {

struct Ran {
  int exit_code = -1;
  std::string output;  // standard output and error
};
// Runs a shell command.
Ran RunShell(const std::string& command);

// A stand-in, with the client's environment variables set to it, and a scratch directory of its own.
class StandinTest : public testing::Test {
 protected:
  void SetUp() override { Launch({}); }
  void Launch(const Options& options);

  // Writes a key pair and a certificate by way of the API, to use with Ssh() and Sftp().
  void Login();
  // Real clients through the proxy, by way of the connect sub-command.
  std::string SshCommandLine(const std::string& command, int node = 0) const;  // for RunShell()
  Ran Ssh(const std::string& command, int node = 0);
  Ran Sftp(const std::string& batch, int node = 0);
  std::string File(const std::string& name) const;  // in the scratch directory

  // A public key that the API signs.
  static std::string PublicKey();
  // One API call on a connection of its own; status 0 when there was no answer.
  HttpResponse Call(const std::string& method, const std::string& path, const std::string& body,
                    const std::string& authorization);
  HttpResponse Search(const std::string& job);
  HttpResponse Sign(const std::string& node = "0");

  std::unique_ptr<Standin> standin_;

 private:
  std::string ClientOptions() const;
};

}  // namespace bt::standin
