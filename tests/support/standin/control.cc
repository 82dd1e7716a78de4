#include "tests/support/standin/control.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstring>
#include <utility>

#include "transport/base/thread_name.h"

namespace bt::standin {

Result<std::unique_ptr<ControlSocket>> ControlSocket::Open(Standin& standin, const std::string& path,
                                                           std::function<void()> on_quit) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return Error{Code::kInvalid, path + " is too long for a unix socket", "standin.control"};
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  ::unlink(path.c_str());
  UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!listener || ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener.get(), 16) != 0) {
    return Error{Code::kInvalid, path + ": " + SystemText(errno), "standin.control"};
  }
  return std::make_unique<ControlSocket>(standin, std::move(listener), std::move(on_quit));
}

ControlSocket::ControlSocket(Standin& standin, UniqueFd listener, std::function<void()> on_quit)
    : standin_(standin), listener_(std::move(listener)), on_quit_(std::move(on_quit)) {
  accepting_ = std::jthread([this](const std::stop_token& stop) { AcceptLoop(stop); });
}

ControlSocket::~ControlSocket() {
  accepting_.request_stop();
  ::shutdown(listener_.get(), SHUT_RDWR);  // wakes accept()
  accepting_.join();
  {
    MutexLock lock(mutex_);
    for (const UniqueFd& client : clients_) {
      ::shutdown(client.get(), SHUT_RDWR);
    }
  }
  sessions_.clear();
}

void ControlSocket::AcceptLoop(const std::stop_token& stop) {
  SetThreadName("standin-control");
  while (!stop.stop_requested()) {
    UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!client) {
      return;
    }
    const int fd = client.get();
    MutexLock lock(mutex_);
    clients_.push_back(std::move(client));
    sessions_.emplace_back([this, fd] { Serve(fd); });
  }
}

void ControlSocket::Serve(int fd) {
  std::string text;
  std::array<char, 4096> chunk;
  for (;;) {
    const ssize_t n = ::recv(fd, chunk.data(), chunk.size(), 0);
    if (n <= 0) {
      break;
    }
    text.append(chunk.data(), static_cast<std::size_t>(n));
    for (std::size_t end = 0; (end = text.find('\n')) != std::string::npos;) {
      const std::string line = text.substr(0, end);
      text.erase(0, end + 1);
      const std::string answer = Execute(standin_, line) + "\n";
      ::send(fd, answer.data(), answer.size(), MSG_NOSIGNAL);
      if (IsQuit(line)) {
        on_quit_();
      }
    }
  }
  MutexLock lock(mutex_);
  clients_.remove_if([fd](const UniqueFd& client) { return client.get() == fd; });
}

}  // namespace bt::standin
