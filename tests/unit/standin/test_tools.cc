#include "tests/unit/standin/test_tools.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

namespace bt::standin {
namespace {

std::string ProgramBesideThis() { return std::filesystem::read_symlink("/proc/self/exe").parent_path() / "bt-standin"; }

}  // namespace

Ran RunShell(const std::string& command) {
  Ran ran;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  std::array<char, 4096> chunk;
  while (const std::size_t n = std::fread(chunk.data(), 1, chunk.size(), pipe)) {
    ran.output.append(chunk.data(), n);
  }
  const int status = ::pclose(pipe);
  ran.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return ran;
}

void StandinTest::Launch(const Options& options) {
  standin_.reset();
  auto started = Standin::Start(options);
  ASSERT_TRUE(started.ok()) << started.error().text;
  standin_ = std::move(*started);
  for (const auto& [name, value] : standin_->Environment()) {
    ::setenv(name.c_str(), value.c_str(), 1);
  }
  std::filesystem::create_directory(File(""));
}

std::string StandinTest::File(const std::string& name) const { return standin_->directory() + "/scratch/" + name; }

void StandinTest::Login() {
  const Ran signed_key = RunShell(fmt::format("{} sign --target demo123 --key {}", ProgramBesideThis(), File("key")));
  ASSERT_EQ(signed_key.exit_code, 0) << signed_key.output;
}

std::string StandinTest::ClientOptions() const {
  return fmt::format(
      "-F none -o ProxyCommand='{} connect --target %h --key {}' -o StrictHostKeyChecking=no -o "
      "UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o IdentitiesOnly=yes -o BatchMode=yes -i {}",
      ProgramBesideThis(), File("key"), File("key"));
}

std::string StandinTest::SshCommandLine(const std::string& command, int node) const {
  return fmt::format("ssh {} baseten@training-job-demo123-{}.ssh.baseten.co {}", ClientOptions(), node, command);
}

Ran StandinTest::Ssh(const std::string& command, int node) { return RunShell(SshCommandLine(command, node)); }

Ran StandinTest::Sftp(const std::string& batch, int node) {
  std::ofstream(File("batch")) << batch;
  return RunShell(fmt::format("sftp {} -b {} baseten@training-job-demo123-{}.ssh.baseten.co", ClientOptions(),
                              File("batch"), node));
}

std::string StandinTest::PublicKey() {
  return "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f test";
}

HttpResponse StandinTest::Call(const std::string& method, const std::string& path, const std::string& body,
                               const std::string& authorization) {
  const std::string url = standin_->api_url();
  Result<TlsStream> stream = TlsStream::Connect("localhost", url.substr(url.rfind(':') + 1));
  HttpResponse none;
  none.status = 0;
  if (!stream.ok()) {
    none.body = stream.error().text;
    return none;
  }
  std::string head = fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\nConnection: close\r\n",
                                 method, path, body.size());
  if (!authorization.empty()) {
    head += fmt::format("Authorization: {}\r\n", authorization);
  }
  stream->WriteAll(head + "\r\n" + body);
  return HttpReader(*stream).ReadResponse().value_or(none);
}

HttpResponse StandinTest::Search(const std::string& job) {
  return Call("POST", "/v1/training_jobs/search", nlohmann::json{{"job_id", job}}.dump(),
              "Bearer " + standin_->api_key());
}

HttpResponse StandinTest::Sign(const std::string& node) {
  return Call("POST", "/v1/training_projects/prj12345/jobs/demo123/ssh/sign",
              nlohmann::json{{"public_key", PublicKey()}, {"replica_id", node}}.dump(),
              "Bearer " + standin_->api_key());
}

}  // namespace bt::standin
