#include "fs/app/control_socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "transport/base/thread_name.h"

namespace bt::app {
namespace {

constexpr auto kBeat = std::chrono::milliseconds(500);            // of followers
constexpr auto kClientPatience = std::chrono::milliseconds(200);  // for its question, and for taking the answer
constexpr auto kAnswerPatience = std::chrono::seconds(2);         // for a mount that is busy with other askers
constexpr std::size_t kLongestLine = 4U << 20U;

Error SystemError(const std::string& what) {
  return Error{Code::kConfig, fmt::format("{}: {}", what, SystemText(errno)), "app.control"};
}

// A folder of this user's that nobody else may enter.
Status MakePrivate(const std::filesystem::path& folder) {
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return SystemError(fmt::format("cannot make {}", folder.string()));
  }
  struct stat found {};
  if (::lstat(folder.c_str(), &found) != 0) {
    return SystemError(folder.string());
  }
  if (!S_ISDIR(found.st_mode) || found.st_uid != ::geteuid() || (found.st_mode & 077U) != 0) {
    return Error{Code::kConfig,
                 fmt::format("{} is not a folder of this user that is closed to others; remove it", folder.string()),
                 "app.control-directory"};
  }
  return {};
}

Result<sockaddr_un> AddressOf(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.string().size() >= sizeof address.sun_path) {
    return Error{Code::kConfig, fmt::format("{} is too long for a socket", path.string()), "app.control-path"};
  }
  std::memcpy(address.sun_path, path.c_str(), path.string().size());
  return address;
}

bool PollFor(int fd, short events, TimePoint deadline) {
  pollfd poll_fd{fd, events, 0};
  const auto left = OpContext{deadline, {}}.Remaining(std::chrono::hours(1));
  return ::poll(&poll_fd, 1, static_cast<int>(left.count())) > 0;
}

bool SendLine(int fd, std::string line, TimePoint deadline) {
  line += '\n';
  for (std::size_t sent = 0; sent < line.size();) {
    const ssize_t n = ::send(fd, line.data() + sent, line.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) {
      sent += static_cast<std::size_t>(n);
    } else if ((errno != EAGAIN && errno != EINTR) || Clock::now() >= deadline || !PollFor(fd, POLLOUT, deadline)) {
      return false;
    }
  }
  return true;
}

// Nothing at the end of the stream, at the deadline, and when the line is too long. `rest` keeps what follows the line.
std::optional<std::string> ReadLine(int fd, std::string& rest, TimePoint deadline) {
  for (;;) {
    if (const std::size_t end = rest.find('\n'); end != std::string::npos) {
      std::string line = rest.substr(0, end);
      rest.erase(0, end + 1);
      return line;
    }
    std::array<char, 65536> buffer;
    if (rest.size() > kLongestLine || !PollFor(fd, POLLIN, deadline)) {
      return std::nullopt;
    }
    const ssize_t n = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
      return std::nullopt;
    }
    rest.append(buffer.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
  }
}

bool IsOurUser(int fd) {
  ucred peer{};
  socklen_t length = sizeof peer;
  return ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && (peer.uid == ::geteuid() || peer.uid == 0);
}

Result<UniqueFd> Connect(const std::filesystem::path& socket) {
  const sockaddr_un address = TRY(AddressOf(socket));
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const Code code = errno == ECONNREFUSED || errno == ENOENT ? Code::kNotFound : Code::kUnavailable;
    return Error{code, fmt::format("{}: {}", socket.string(), SystemText(errno)), "app.control-connect"};
  }
  return fd;
}

}  // namespace

Result<std::filesystem::path> ControlDirectory() {
  std::filesystem::path base;
  if (const char* runtime = std::getenv("XDG_RUNTIME_DIR"); runtime != nullptr && *runtime == '/') {
    base = runtime;
  } else {
    base = fmt::format("/tmp/bt-mount-{}", ::geteuid());
    TRY(MakePrivate(base));
  }
  std::filesystem::path folder = base / "bt-mount";
  TRY(MakePrivate(folder));
  return folder;
}

Result<std::unique_ptr<ControlSocket>> ControlSocket::Open(Callbacks callbacks) {
  std::filesystem::path path = TRY(ControlDirectory()) / fmt::format("{}.sock", ::getpid());
  const sockaddr_un address = TRY(AddressOf(path));
  UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  UniqueFd doorbell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  ::unlink(path.c_str());  // of an earlier process with our number
  if (!listener || !doorbell ||
      ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::chmod(path.c_str(), 0600) != 0 || ::listen(listener.get(), 16) != 0) {
    return SystemError(fmt::format("cannot listen on {}", path.string()));
  }
  return std::unique_ptr<ControlSocket>(
      new ControlSocket(std::move(callbacks), std::move(path), std::move(listener), std::move(doorbell)));
}

ControlSocket::ControlSocket(Callbacks callbacks, std::filesystem::path path, UniqueFd listener, UniqueFd doorbell)
    : callbacks_(std::move(callbacks)),
      path_(std::move(path)),
      listener_(std::move(listener)),
      doorbell_(std::move(doorbell)),
      thread_([this](const std::stop_token& stop) { Run(stop); }) {}

ControlSocket::~ControlSocket() {
  if (thread_.joinable()) {
    Finish(callbacks_.status());
  }
}

void ControlSocket::Finish(MountStatus last) {
  ::unlink(path_.c_str());
  thread_.request_stop();
  const std::uint64_t one = 1;
  static_cast<void>(::write(doorbell_.get(), &one, sizeof one));
  thread_.join();
  last.ended = true;
  TellFollowers(ToJson(last));
  followers_.clear();
}

void ControlSocket::Run(const std::stop_token& stop) {
  SetThreadName("bt-control");
  TimePoint beat = Clock::now();
  while (!stop.stop_requested()) {
    std::array<pollfd, 2> fds{{{listener_.get(), POLLIN, 0}, {doorbell_.get(), POLLIN, 0}}};
    const int wait = followers_.empty() ? -1 : static_cast<int>(kBeat.count());
    ::poll(fds.data(), fds.size(), wait);
    if ((fds[0].revents & POLLIN) != 0) {
      UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (client && IsOurUser(client.get())) {
        Serve(std::move(client));
      }
    }
    if (!followers_.empty() && Clock::now() - beat >= kBeat) {
      beat = Clock::now();
      TellFollowers(ToJson(callbacks_.status()));
    }
  }
}

void ControlSocket::Serve(UniqueFd client) {
  std::string rest;
  const auto line = ReadLine(client.get(), rest, Clock::now() + kClientPatience);
  if (!line) {
    return;
  }
  const auto question = nlohmann::json::parse(*line, nullptr, /*allow_exceptions=*/false);
  const auto command = question.is_object() && question.contains("command") && question["command"].is_string()
                           ? question["command"].get<std::string>()
                           : "";
  if (command == "stop") {
    const auto force = question.find("force");
    callbacks_.stop(force != question.end() && force->is_boolean() && force->get<bool>());
  } else if (command != "status" && command != "follow") {
    SendLine(client.get(), R"({"error":"unknown command"})", Clock::now() + kClientPatience);
    return;
  }
  const bool sent = SendLine(client.get(), ToJson(callbacks_.status()), Clock::now() + kClientPatience);
  if (sent && command == "follow") {
    followers_.push_back(std::move(client));
  }
}

void ControlSocket::TellFollowers(const std::string& line) {
  std::erase_if(followers_, [&line](const UniqueFd& follower) {
    return !SendLine(follower.get(), line, Clock::now() + kClientPatience);
  });
}

Result<MountStatus> AskMount(const std::filesystem::path& socket, const std::string& question,
                             std::chrono::milliseconds patience) {
  const TimePoint deadline = Clock::now() + patience;
  const UniqueFd fd = TRY(Connect(socket));
  std::string rest;
  std::optional<std::string> line;
  if (SendLine(fd.get(), question, deadline)) {
    line = ReadLine(fd.get(), rest, deadline);
  }
  const auto status = line ? ParseStatus(*line) : std::nullopt;
  if (!status) {
    return Error{Code::kTimedOut, fmt::format("the mount behind {} does not answer", socket.string()),
                 "app.control-silent"};
  }
  return *status;
}

std::vector<FoundMount> FindMounts(std::chrono::milliseconds patience) {
  std::vector<FoundMount> mounts;
  const auto folder = ControlDirectory();
  if (!folder) {
    return mounts;
  }
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(*folder, ignored)) {
    if (entry.path().extension() != ".sock") {
      continue;
    }
    auto status = AskMount(entry.path(), R"({"command":"status"})", patience);
    if (status) {
      mounts.push_back({entry.path(), std::move(status).value()});
    } else if (status.error().code == Code::kNotFound) {
      ::unlink(entry.path().c_str());  // its process is gone
    }
  }
  std::sort(mounts.begin(), mounts.end(),
            [](const FoundMount& a, const FoundMount& b) { return a.status.pid < b.status.pid; });
  return mounts;
}

Result<Follower> Follower::Connect(const std::filesystem::path& socket) {
  UniqueFd fd = TRY(app::Connect(socket));
  Follower follower(std::move(fd));
  // A connection that was not accepted yet would end with the process, without its last word.
  if (!SendLine(follower.fd_.get(), R"({"command":"follow"})", Clock::now() + kClientPatience) ||
      !ReadLine(follower.fd_.get(), follower.rest_, Clock::now() + kAnswerPatience)) {
    return Error{Code::kDisconnected, "the mount does not answer", "app.control-silent"};
  }
  return follower;
}

Result<MountStatus> Follower::Await(std::chrono::milliseconds patience,
                                    const std::function<void(const MountStatus&)>& on_status) {
  const TimePoint deadline = Clock::now() + patience;
  for (;;) {
    const auto line = ReadLine(fd_.get(), rest_, deadline);
    if (!line) {
      return Clock::now() >= deadline
                 ? Error{Code::kTimedOut, "the mount has not ended yet", "app.control-waiting"}
                 : Error{Code::kDisconnected, "the mount's process ended without a last word", "app.control-ended"};
    }
    if (const auto status = ParseStatus(*line)) {
      if (status->ended) {
        return *status;
      }
      on_status(*status);
    }
  }
}

}  // namespace bt::app
