#include "tests/support/standin/node.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>
#include <utility>

#include "tests/support/sftp_tap/requests.h"
#include "tests/support/standin/sockets.h"
#include "tests/support/standin/ssh_authority.h"

namespace bt::standin {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr const char* kSshd = "/usr/sbin/sshd";
constexpr const char* kPrivilegeSeparationDir = "/run/sshd";  // sshd refuses to start as root without it
constexpr int kPortTries = 5;

// The first of these that exists; empty when none does.
template <std::size_t N>
std::string FirstExisting(const std::array<const char*, N>& paths) {
  for (const char* path : paths) {
    if (fs::exists(path)) {
      return path;
    }
  }
  return {};
}

std::string SftpServer() {
  return FirstExisting(std::array{"/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server",
                                  "/usr/lib/ssh/sftp-server", "/usr/libexec/sftp-server"});
}

std::string NssWrapper() {
  return FirstExisting(std::array{"/usr/lib/x86_64-linux-gnu/libnss_wrapper.so",
                                  "/usr/lib/aarch64-linux-gnu/libnss_wrapper.so", "/usr/lib64/libnss_wrapper.so",
                                  "/usr/lib/libnss_wrapper.so"});
}

std::string ReadAll(const std::string& file) {
  std::ifstream stream(file);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

// Whether an SSH server greets on this port.
bool Greets(std::uint16_t port) {
  const UniqueFd fd = ConnectLoopback(port);
  if (!fd) {
    return false;
  }
  pollfd wait{.fd = fd.get(), .events = POLLIN, .revents = 0};
  if (::poll(&wait, 1, 2000) != 1) {
    return false;
  }
  std::array<char, 16> banner{};
  const ssize_t n = ::recv(fd.get(), banner.data(), banner.size(), 0);
  return n > 4 && std::string_view(banner.data(), static_cast<std::size_t>(n)).starts_with("SSH-");
}

Error NodeError(std::string text) { return Error{Code::kInternal, std::move(text), "standin.node"}; }

}  // namespace

void Node::Unmap::operator()(tap::SharedPage* page) const { ::munmap(page, sizeof *page); }

Node::Node(Spawner& spawner, NodeConfig config) : spawner_(spawner), config_(std::move(config)), sshd_(config_.sshd) {}

Node::~Node() { Stop(); }

std::string Node::File(const std::string& name) const {
  return fmt::format("{}/node-{}.{}", config_.run_dir, config_.index, name);
}

std::string Node::log_file() const { return File("log"); }

std::string Node::host_key() const {
  std::string line;
  std::getline(std::ifstream(File("host_key.pub")) >> std::ws, line);
  return line;
}

Result<std::unique_ptr<Node>> Node::Start(Spawner& spawner, const NodeConfig& config) {
  for (const std::string& path : {config.directory, config.run_dir, config.tap_program}) {
    // They go into sshd_config and into a command line that a shell splits.
    if (path.find_first_of(" \t\"'\\$`;&|<>()*?#~") != std::string::npos) {
      return NodeError(fmt::format("\"{}\" has characters that sshd_config cannot hold", path));
    }
  }
  if (!fs::exists(kSshd) || SftpServer().empty() || NssWrapper().empty()) {
    return NodeError(
        "the stand-in needs sshd, sftp-server and libnss_wrapper: install openssh-server, "
        "openssh-sftp-server and libnss-wrapper");
  }
  if (::geteuid() == 0) {
    ::mkdir(kPrivilegeSeparationDir, 0755);
  }
  std::error_code problem;
  if (fs::create_directories(config.directory, problem); problem) {
    return NodeError(fmt::format("cannot make {}: {}", config.directory, problem.message()));
  }
  std::unique_ptr<Node> node(new Node(spawner, config));
  TRY(node->MapPage());
  TRY(node->WriteUsers());
  MutexLock lock(node->mutex_);
  if (!fs::exists(node->File("host_key"))) {
    TRY(MakeSshKey(spawner, node->File("host_key"), node->log_file()));
  }
  TRY(node->StartServer());
  return node;
}

Status Node::MapPage() {
  const UniqueFd fd(::open(File("page").c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd || ::ftruncate(fd.get(), sizeof(tap::SharedPage)) != 0) {
    return NodeError("cannot make " + File("page"));
  }
  void* page = ::mmap(nullptr, sizeof(tap::SharedPage), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (page == MAP_FAILED) {
    return NodeError("cannot map " + File("page"));
  }
  page_.reset(static_cast<tap::SharedPage*>(page));  // a file of zeros is a page with nothing counted and armed
  return {};
}

Status Node::WriteUsers() {
  std::ofstream users(File("passwd"));
  std::ifstream system_users("/etc/passwd");
  for (std::string line; std::getline(system_users, line);) {
    if (!line.starts_with("baseten:") && !line.starts_with("app:")) {
      users << line << '\n';
    }
  }
  for (const char* name : {"baseten", "app"}) {
    users << fmt::format("{}:x:{}:{}::{}:/bin/bash\n", name, ::geteuid(), ::getegid(), config_.directory);
  }
  std::ofstream(File("group")) << ReadAll("/etc/group");
  return users.flush() ? Status() : NodeError("cannot write " + File("passwd"));
}

Status Node::WriteConfig(std::uint16_t port, bool with_penalties_off) {
  std::ofstream config(File("sshd_config"));
  config << "Port " << port << "\nListenAddress 127.0.0.1\nHostKey " << File("host_key") << "\nTrustedUserCAKeys "
         << config_.user_ca
         << "\nAuthorizedKeysFile none\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\n"
            "StrictModes no\nPermitRootLogin yes\nPidFile none\nUseDNS no\nPrintMotd no\nPrintLastLog no\n"
         << "MaxStartups " << sshd_.max_startups << "\nMaxSessions " << sshd_.max_sessions << '\n'
         << "SetEnv BT_WORKING_DIR=" << config_.directory << " BT_GROUP_SIZE=" << config_.nodes
         << " BT_NODE_RANK=" << config_.index << '\n';
  if (with_penalties_off) {
    config << "PerSourcePenalties no\n";  // OpenSSH 9.8 and newer shut out an address after a few refusals
  }
  if (!sshd_.rekey_limit.empty()) {
    config << "RekeyLimit " << sshd_.rekey_limit << '\n';
  }
  if (sshd_.sftp == SftpMode::kTap) {
    config << "Subsystem sftp " << config_.tap_program << ' ' << File("page") << ' ' << SftpServer() << '\n';
  } else if (sshd_.sftp == SftpMode::kPlain) {
    config << "Subsystem sftp " << SftpServer() << '\n';
  }
  config << sshd_.more_settings << '\n';
  return config.flush() ? Status() : NodeError("cannot write " + File("sshd_config"));
}

Status Node::StartServer() {
  Status started;
  std::uint16_t port = 0;
  for (int attempt = 0; attempt < kPortTries; ++attempt) {
    // sshd cannot choose a port by itself. Between finding one and sshd's bind somebody else may take it: then another.
    port = LocalPort(TRY(BindLoopback(0)).get());
    started = TryPort(port);
    if (started.ok()) {
      break;
    }
  }
  return started;
}

Status Node::TryPort(std::uint16_t port) {
  const std::vector<std::string> environment{"LD_PRELOAD=" + NssWrapper(), "NSS_WRAPPER_PASSWD=" + File("passwd"),
                                             "NSS_WRAPPER_GROUP=" + File("group")};
  TRY(WriteConfig(port, true));
  Command command{
      .argv = {kSshd, "-t", "-f", File("sshd_config")}, .environment = environment, .log_file = File("test.log")};
  if (!spawner_.Run(command).ok()) {
    TRY(WriteConfig(port, false));
  }
  command.argv = {kSshd, "-D", "-e", "-f", File("sshd_config")};
  command.log_file = log_file();
  const pid_t child = TRY(spawner_.Start(command));
  const TimePoint give_up = Clock::now() + 20s;
  while (Clock::now() < give_up && IsAlive(child)) {
    // A greeting alone may come from a stranger who took the port; then our sshd is about to end.
    if (Greets(port) && IsAlive(child)) {
      pid_ = child;
      port_ = port;
      return {};
    }
    std::this_thread::sleep_for(2ms);
  }
  KillTree(child);
  return NodeError(fmt::format("sshd does not start: {}", ReadAll(log_file())));
}

void Node::KillServer() {
  if (pid_ >= 0) {
    const std::uint16_t port = port_.exchange(0);
    cpu_of_dead_ += TreeCpuSeconds(pid_);
    KillTree(pid_);
    KillSessionCommands("BT_WORKING_DIR=" + config_.directory, port);
    pid_ = -1;
  }
}

void Node::Stop() {
  MutexLock lock(mutex_);
  KillServer();
}

Status Node::Restart(HostKey host_key) {
  SshdOptions options;
  {
    MutexLock lock(mutex_);
    options = sshd_;
  }
  return Restart(host_key, options);
}

Status Node::Restart(HostKey host_key, const SshdOptions& options) {
  MutexLock lock(mutex_);
  KillServer();
  sshd_ = options;
  if (host_key == HostKey::kNew) {
    fs::remove(File("host_key"));
    fs::remove(File("host_key.pub"));
    TRY(MakeSshKey(spawner_, File("host_key"), log_file()));
  }
  return StartServer();
}

Status Node::ArmFault(const SftpFault& fault) {
  const auto request = tap::RequestByName(fault.request);
  if (!request) {
    return Error{Code::kInvalid, fmt::format("no SFTP request is called \"{}\"", fault.request), "standin.fault"};
  }
  MutexLock lock(mutex_);
  for (tap::Fault& place : page_->faults) {
    if (place.action.load() != static_cast<std::uint32_t>(tap::Action::kNone)) {
      continue;
    }
    place.request = *request;
    place.skip = fault.skip;
    place.times = fault.times;
    place.milliseconds = static_cast<std::uint32_t>(fault.delay.count());
    place.action.store(static_cast<std::uint32_t>(fault.action), std::memory_order_release);
    page_->armed.store(1, std::memory_order_release);
    return {};
  }
  return Error{Code::kTooManyHandles, "all faults are in use: clear them first", "standin.fault"};
}

void Node::ClearFaults() {
  MutexLock lock(mutex_);
  for (tap::Fault& place : page_->faults) {
    place.action = static_cast<std::uint32_t>(tap::Action::kNone);
  }
  page_->armed = 0;
}

SftpCounters Node::sftp_counters() const {
  SftpCounters counters{.sessions = page_->sessions,
                        .requests = {},
                        .replies = page_->replies,
                        .bytes_read = page_->bytes_read,
                        .bytes_written = page_->bytes_written,
                        .turns = page_->turns,
                        .faults_fired = page_->faults_fired};
  for (const tap::RequestName& row : tap::kRequestNames) {
    if (const std::uint64_t count = page_->requests[row.number]; count > 0) {
      counters.requests[std::string(row.name)] = count;
    }
  }
  return counters;
}

double Node::CpuSeconds() const {
  MutexLock lock(mutex_);
  return cpu_of_dead_ + (pid_ >= 0 ? TreeCpuSeconds(pid_) : 0.0);
}

}  // namespace bt::standin
