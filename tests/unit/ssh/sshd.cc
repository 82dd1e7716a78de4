#include "tests/unit/ssh/sshd.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <utility>

namespace bt::test {
namespace {

// -1 when the program could not be started. `socket` becomes its standard input and output, `log` its error stream.
pid_t Spawn(const std::vector<std::string>& arguments, const std::vector<std::string>& extra_environment, int socket,
            const std::string& log) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  std::vector<char*> environment;
  for (const std::string& variable : extra_environment) {
    environment.push_back(const_cast<char*>(variable.c_str()));
  }
  for (char** variable = environ; *variable != nullptr; ++variable) {
    environment.push_back(*variable);
  }
  environment.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (socket >= 0) {
    posix_spawn_file_actions_adddup2(&actions, socket, 0);
    posix_spawn_file_actions_adddup2(&actions, socket, 1);
  } else {
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  }
  posix_spawn_file_actions_addopen(&actions, 2, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  pid_t pid = -1;
  const int failed = posix_spawn(&pid, argv[0], &actions, &attributes, argv.data(), environment.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return failed != 0 ? -1 : pid;
}

std::string NssWrapper() {
  for (const char* path :
       {"/usr/lib/x86_64-linux-gnu/libnss_wrapper.so", "/usr/lib/aarch64-linux-gnu/libnss_wrapper.so",
        "/usr/lib/libnss_wrapper.so", "/usr/lib64/libnss_wrapper.so"}) {
    if (std::filesystem::exists(path)) {
      return path;
    }
  }
  throw std::runtime_error("libnss_wrapper.so is missing; install libnss-wrapper");
}

void Need(bool condition, const std::string& what) {
  if (!condition) {
    throw std::runtime_error("cannot set up sshd for the test: " + what);
  }
}

}  // namespace

int RunProgram(const std::vector<std::string>& arguments) {
  const pid_t pid = Spawn(arguments, {}, -1, "/dev/null");
  int status = -1;
  if (pid < 0 || ::waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) {
    return -1;
  }
  return WEXITSTATUS(status);
}

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void WriteFile(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

TempDir::TempDir() {
  std::string pattern = (std::filesystem::temp_directory_path() / "bt-ssh-XXXXXX").string();
  Need(::mkdtemp(pattern.data()) != nullptr, "mkdtemp");
  path_ = pattern;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Sshd::Sshd(const std::string& configuration) {
  for (const char* name : {"ca", "other-ca", "host"}) {
    Need(RunProgram({"/usr/bin/ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", (dir() / name).string()}) == 0,
         "ssh-keygen");
  }
  std::filesystem::create_directories("/run/sshd");  // sshd refuses to start without it
  const passwd* me = ::getpwuid(::getuid());
  Need(me != nullptr, "who am I");
  WriteFile(dir() / "passwd", ReadFile("/etc/passwd") + "baseten:x:" + std::to_string(::getuid()) + ":" +
                                  std::to_string(::getgid()) + "::" + me->pw_dir + ":/bin/bash\n");
  WriteFile(dir() / "sshd_config", "HostKey " + (dir() / "host").string() + "\nTrustedUserCAKeys " +
                                       (dir() / "ca.pub").string() +
                                       "\nUsePAM no\nStrictModes no\nPermitRootLogin yes\nPidFile none\n" +
                                       "AuthorizedKeysFile none\nPasswordAuthentication no\n" + configuration);

  listener_.Reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  Need(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
           ::listen(listener_.get(), 16) == 0 &&
           ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0,
       "listen");
  port_ = ntohs(address.sin_port);
  thread_ = std::jthread([this] { Accept(); });
}

Sshd::~Sshd() {
  ending_.store(true);
  ::shutdown(listener_.get(), SHUT_RDWR);  // ends accept()
  thread_.join();
  KillServers();
}

void Sshd::KillServers() {
  const MutexLock lock(mutex_);
  for (const pid_t pid : servers_) {
    ::kill(-pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  servers_.clear();
}

void Sshd::Accept() {
  const std::vector<std::string> environment{"LD_PRELOAD=" + NssWrapper(),
                                             "NSS_WRAPPER_PASSWD=" + (dir() / "passwd").string(),
                                             "NSS_WRAPPER_GROUP=/etc/group"};
  while (!ending_.load()) {
    const UniqueFd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket) {
      continue;
    }
    const pid_t pid = Spawn({"/usr/sbin/sshd", "-i", "-e", "-f", (dir() / "sshd_config").string()}, environment,
                            socket.get(), (dir() / "log").string());
    const MutexLock lock(mutex_);
    if (pid > 0) {
      servers_.push_back(pid);
    }
  }
}

std::string Sshd::Sign(const std::string& public_key_line, const std::string& validity, const std::string& authority) {
  const std::filesystem::path file = dir() / ("user" + std::to_string(certificates_++) + ".pub");
  WriteFile(file, public_key_line + "\n");
  Need(RunProgram({"/usr/bin/ssh-keygen", "-q", "-s", (dir() / authority).string(), "-I", "test", "-n", "baseten", "-V",
                   validity, file.string()}) == 0,
       "ssh-keygen -s");
  std::filesystem::path certificate = file;
  certificate.replace_extension();
  return ReadFile(certificate.string() + "-cert.pub");
}

Result<std::unique_ptr<PlainStream>> Sshd::ConnectStream(const PlainStream::Options& options) {
  return PlainStream::Connect(port_, options);
}

Result<std::shared_ptr<ssh::SshConnection>> Sshd::Connect(const PlainStream::Options& options) {
  const std::unique_ptr<ssh::KeyPair> key = TRY(ssh::KeyPair::Generate());
  return ssh::SshConnection::Open(Soon(), TRY(ConnectStream(options)), {"baseten", *key, Sign(key->public_key_line())});
}

Result<std::shared_ptr<ssh::SshConnection>> Sshd::Connect(const ssh::KeyPair& key, const std::string& certificate) {
  return ssh::SshConnection::Open(Soon(), TRY(ConnectStream()), {"baseten", key, certificate});
}

OpContext Soon() { return OpContext::WithTimeout(std::chrono::seconds(20)); }

}  // namespace bt::test
