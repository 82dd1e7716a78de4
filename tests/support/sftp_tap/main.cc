// bt-sftp-tap PAGE SFTP-SERVER [ARGUMENTS...]: what the stand-in's sshd runs as its sftp subsystem.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <string>

#include "tests/support/sftp_tap/tap.h"

namespace {

using bt::tap::SharedPage;

constexpr int kPipeBytes = 1 << 20;

SharedPage* MapPage(const char* path) {
  const int fd = ::open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    return nullptr;
  }
  void* page = ::mmap(nullptr, sizeof(SharedPage), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  return page == MAP_FAILED ? nullptr : static_cast<SharedPage*>(page);
}

void SetNonBlocking(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK); }

// Ends the SSH connection as a broken link would: the process of sshd that serves it is our parent.
void CutConnection() {
  const pid_t parent = ::getppid();
  std::ifstream comm("/proc/" + std::to_string(parent) + "/comm");
  std::string name;
  std::getline(comm, name);
  if (name.starts_with("sshd")) {
    ::kill(parent, SIGKILL);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fputs("usage: bt-sftp-tap PAGE SFTP-SERVER [ARGUMENTS...]\n", stderr);
    return 2;
  }
  SharedPage* page = MapPage(argv[1]);
  std::array<int, 2> to_server{};
  std::array<int, 2> from_server{};
  if (page == nullptr || ::pipe2(to_server.data(), O_CLOEXEC) != 0 || ::pipe2(from_server.data(), O_CLOEXEC) != 0) {
    std::perror("bt-sftp-tap");
    return 1;
  }
  const pid_t server = ::fork();
  if (server == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::dup2(to_server[0], STDIN_FILENO);
    ::dup2(from_server[1], STDOUT_FILENO);
    ::execv(argv[2], argv + 2);
    std::perror(argv[2]);
    ::_exit(127);
  }
  ::close(to_server[0]);
  ::close(from_server[1]);
  if (server < 0) {
    std::perror("fork");
    return 1;
  }
  std::signal(SIGPIPE, SIG_IGN);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, to_server[1], from_server[0]}) {
    SetNonBlocking(fd);
  }
  ::fcntl(to_server[1], F_SETPIPE_SZ, kPipeBytes);
  ::fcntl(from_server[0], F_SETPIPE_SZ, kPipeBytes);

  bt::tap::Tap tap(*page, STDIN_FILENO, STDOUT_FILENO, from_server[0], to_server[1]);
  if (!tap.Run()) {
    CutConnection();
    ::_exit(1);
  }
  ::kill(server, SIGTERM);
  int status = 0;
  ::waitpid(server, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}
