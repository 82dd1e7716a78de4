// bt-standin: the stand-in of the service as a program. See CONTROL.md.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>

#include "tests/support/standin/client.h"
#include "tests/support/standin/control.h"
#include "transport/base/units.h"

namespace bt::standin {
namespace {

struct ServeOptions {
  Options standin;
  std::string rtt = "0";
  std::string api_rtt;
  std::string rate = "0";
  std::string window = "0";
  std::string job = "demo123";
  std::string control;
  bool until_stdin_closes = false;
  bool die_with_parent = false;
};

int Fail(const Error& error) {
  std::cerr << "bt-standin: " << error.text << '\n';
  return 1;
}

void Print(const std::string& line) { std::cout << line << std::endl; }

// Reads commands from standard input and waits for the end: a signal, "quit", or the end of input when asked for.
void ServeUntilTheEnd(Standin& standin, int signals, int quit, bool until_stdin_closes) {
  std::string text;
  bool input_open = true;
  for (;;) {
    std::array<pollfd, 3> fds{pollfd{.fd = input_open ? STDIN_FILENO : -1, .events = POLLIN, .revents = 0},
                              pollfd{.fd = signals, .events = POLLIN, .revents = 0},
                              pollfd{.fd = quit, .events = POLLIN, .revents = 0}};
    if (::poll(fds.data(), fds.size(), -1) < 0) {
      continue;
    }
    if (fds[1].revents != 0 || fds[2].revents != 0) {
      return;
    }
    std::array<char, 4096> chunk;
    const ssize_t n = ::read(STDIN_FILENO, chunk.data(), chunk.size());
    if (n <= 0) {
      if (until_stdin_closes) {
        return;
      }
      input_open = false;
      continue;
    }
    text.append(chunk.data(), static_cast<std::size_t>(n));
    for (std::size_t end = 0; (end = text.find('\n')) != std::string::npos;) {
      const std::string line = text.substr(0, end);
      text.erase(0, end + 1);
      Print(Execute(standin, line));
      if (IsQuit(line)) {
        return;
      }
    }
  }
}

Status FillOptions(ServeOptions& options) {
  options.standin.rtt = TRY(ParseDuration(options.rtt));
  options.standin.api_rtt = TRY(ParseDuration(options.api_rtt.empty() ? options.rtt : options.api_rtt));
  options.standin.bytes_per_second = TRY(ParseByteSize(options.rate));
  options.standin.window = TRY(ParseByteSize(options.window));
  options.standin.jobs = {Job{.id = options.job}};
  if (const char* key = std::getenv("BT_STANDIN_API_KEY")) {
    options.standin.api_key = key;
  }
  return {};
}

int Serve(ServeOptions options) {
  if (options.die_with_parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  }
  // Before any thread is started, so that all of them inherit the mask.
  sigset_t ends;
  ::sigemptyset(&ends);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
    ::sigaddset(&ends, signal);
  }
  ::pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  const UniqueFd signals(::signalfd(-1, &ends, SFD_CLOEXEC));
  std::array<int, 2> quit{};
  if (!signals || ::pipe2(quit.data(), O_CLOEXEC) != 0) {
    return Fail({Code::kInternal, "cannot watch signals", "standin.main"});
  }
  const UniqueFd quit_read(quit[0]);
  const UniqueFd quit_write(quit[1]);
  if (Status filled = FillOptions(options); !filled.ok()) {
    return Fail(filled.error());
  }
  Result<std::unique_ptr<Standin>> standin = Standin::Start(options.standin);
  if (!standin.ok()) {
    return Fail(standin.error());
  }
  const std::string path = options.control.empty() ? (*standin)->directory() + "/run/control" : options.control;
  Result<std::unique_ptr<ControlSocket>> control =
      ControlSocket::Open(**standin, path, [&] { [[maybe_unused]] const auto n = ::write(quit_write.get(), "q", 1); });
  if (!control.ok()) {
    return Fail(control.error());
  }
  Print(Coordinates(**standin, path));
  ServeUntilTheEnd(**standin, signals.get(), quit_read.get(), options.until_stdin_closes);
  return 0;
}

// Sends one command to a running stand-in and prints the answer.
int SendCommand(const std::string& path, const std::string& command) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (path.size() >= sizeof address.sun_path) {
    return Fail({Code::kInvalid, path + " is too long for a unix socket", "standin.main"});
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const std::string line = command + "\n";
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::send(fd.get(), line.data(), line.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(line.size())) {
    return Fail({Code::kUnavailable, path + ": " + SystemText(errno), "standin.main"});
  }
  std::string answer;
  std::array<char, 4096> chunk;
  while (answer.find('\n') == std::string::npos) {
    const ssize_t n = ::recv(fd.get(), chunk.data(), chunk.size(), 0);
    if (n <= 0) {
      return Fail({Code::kUnavailable, "the stand-in ended", "standin.main"});
    }
    answer.append(chunk.data(), static_cast<std::size_t>(n));
  }
  std::cout << answer;
  return answer.find(R"("ok":true)") != std::string::npos ? 0 : 1;
}

template <typename Work>
int WithTarget(const std::string& text, const Work& work) {
  std::signal(SIGPIPE, SIG_IGN);
  const Result<ClientTarget> target = ClientTarget::Parse(text);
  if (!target.ok()) {
    return Fail(target.error());
  }
  const Status status = work(*target);
  return status.ok() ? 0 : Fail(status.error());
}

int Main(int argc, char** argv) {
  ServeOptions options;
  std::string target;
  std::string key_file;
  std::string socket_path;
  std::string command;

  CLI::App app{"Stand-in of the Baseten service: API, proxy, SSH servers and an emulated link, on the loopback."};
  app.add_option("--dir", options.standin.directory, "Where node-0, node-1, ... and run/ live (default: temporary)");
  app.add_option("--nodes", options.standin.nodes, "Nodes of the job");
  app.add_option("--job", options.job, "Id of the job");
  app.add_option("--rtt", options.rtt, "Round trip time of the link: 40ms");
  app.add_option("--api-rtt", options.api_rtt, "Round trip time to the API (default: as --rtt)");
  app.add_option("--rate", options.rate, "Bytes per second of the link, each direction: 100MB (0: no limit)");
  app.add_option("--window", options.window, "Unacknowledged bytes a connection and direction: 4MiB (0: no limit)");
  app.add_option("--control", options.control, "Unix socket for commands (default: run/control)");
  app.add_flag("--die-with-parent", options.die_with_parent, "End when the program that started it ends");
  app.add_flag("--until-stdin-closes", options.until_stdin_closes, "End when standard input ends");

  CLI::App* connect = app.add_subcommand("connect", "ProxyCommand of ssh: bt-standin connect --target %h --key FILE");
  CLI::App* sign = app.add_subcommand("sign", "Make a key pair when missing, and a certificate for it");
  for (CLI::App* sub : {connect, sign}) {
    sub->add_option("--target", target, "Job, job/node, or training-job-<job>-<node>.ssh.baseten.co")->required();
    sub->add_option("--key", key_file, "Private key file")->required();
  }
  CLI::App* ctl = app.add_subcommand("ctl", "Send one command to a running stand-in");
  ctl->add_option("socket", socket_path, "Its control socket")->required();
  ctl->add_option("command", command, R"(JSON, for example {"cmd":"rtt","rtt":"40ms"})")->required();
  CLI11_PARSE(app, argc, argv);

  if (connect->parsed()) {
    return WithTarget(target, [&](const ClientTarget& t) { return ConnectStdio(t, key_file); });
  }
  if (sign->parsed()) {
    return WithTarget(target, [&](const ClientTarget& t) { return SignKey(t, key_file); });
  }
  if (ctl->parsed()) {
    return SendCommand(socket_path, command);
  }
  return Serve(options);
}

}  // namespace
}  // namespace bt::standin

int main(int argc, char** argv) try {
  return bt::standin::Main(argc, argv);
} catch (const std::exception& problem) {  // of the library: memory, a thread that the system does not give
  std::fprintf(stderr, "bt-standin: %s\n", problem.what());
  return 1;
}
