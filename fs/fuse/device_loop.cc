#include "fs/fuse/device_loop.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "transport/base/thread_name.h"

namespace bt::fuse {
namespace {

// A buffer is a little more than 1 MiB, so a small write is cheaper to copy than a buffer is to replace.
constexpr std::size_t kKeepFrom = std::size_t{64} << 10U;

// NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables): of each thread; libfuse hands nothing along
// The buffer whose request this thread is decoding.
thread_local std::shared_ptr<void> current_buffer;
// Whether that request keeps it. Not to be told from use_count(): seeing it fall to 1 does not order what the request
// read before what the kernel writes next.
thread_local bool current_buffer_kept = false;
// NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables)

Error SystemError(const std::string& what, const char* tag) {
  return Error{Code::kInternal, what + ": " + SystemText(errno), tag};
}

}  // namespace

RequestBytes RequestBytes::Keep(std::span<const std::byte> bytes) {
  RequestBytes kept;
  if (bytes.size() >= kKeepFrom && current_buffer != nullptr) {
    kept.owner_ = current_buffer;
    current_buffer_kept = true;
    kept.bytes_ = bytes;
    return kept;
  }
  std::shared_ptr<std::byte[]> copy(new std::byte[bytes.size()]);
  std::copy(bytes.begin(), bytes.end(), copy.get());
  kept.bytes_ = {copy.get(), bytes.size()};
  kept.owner_ = std::move(copy);
  return kept;
}

Result<std::unique_ptr<DeviceLoop>> DeviceLoop::Open(fuse_session* session) {
  std::unique_ptr<DeviceLoop> loop(new DeviceLoop(session));
  const int device = fuse_session_fd(session);
  // Two threads may be told of one request: the one that comes late must not block in read(2), out of Stop()'s reach.
  if (::fcntl(device, F_SETFL, ::fcntl(device, F_GETFL) | O_NONBLOCK) != 0) {
    return SystemError("setting up /dev/fuse", "fuse.device");
  }
  loop->stop_event_.Reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!loop->stop_event_) {
    return SystemError("making an eventfd", "fuse.device");
  }
  return loop;
}

void DeviceLoop::Stop() noexcept {
  stopping_.store(true);
  // Never read again, so every thread sees it.
  const eventfd_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(stop_event_.get(), &one, sizeof one);
}

Status DeviceLoop::WaitForRequest(int epoll) {
  epoll_event event{};
  if (::epoll_wait(epoll, &event, 1, -1) < 0 && errno != EINTR) {
    return SystemError("waiting for the kernel's requests", "fuse.device");
  }
  return {};
}

Status DeviceLoop::ReadRequests(const std::function<bool()>& done) {
  const UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event request{};
  request.events = EPOLLIN | EPOLLEXCLUSIVE;  // one request wakes one thread
  epoll_event stop{};
  stop.events = EPOLLIN;
  if (!epoll || ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fuse_session_fd(session_), &request) != 0 ||
      ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, stop_event_.get(), &stop) != 0) {
    return SystemError("watching /dev/fuse", "fuse.device");
  }
  std::shared_ptr<void>& memory = current_buffer;
  while (!done() && !stopping_.load() && fuse_session_exited(session_) == 0) {
    TRY(WaitForRequest(epoll.get()));
    if (stopping_.load()) {
      break;
    }
    fuse_buf buffer{};
    buffer.mem = memory.get();
    const int size = fuse_session_receive_buf(session_, &buffer);
    if (memory == nullptr && buffer.mem != nullptr) {
      memory.reset(buffer.mem, std::free);  // libfuse made it with malloc
    }
    if (size == -EINTR || size == -EAGAIN) {
      continue;
    }
    if (size < 0) {
      errno = -size;
      return SystemError("reading the kernel's requests", "fuse.device");
    }
    if (size == 0) {
      break;  // unmounted
    }
    fuse_session_process_buf(session_, &buffer);
    if (std::exchange(current_buffer_kept, false)) {
      memory.reset();  // it is the request's now
    }
  }
  memory.reset();
  return {};
}

Status DeviceLoop::ServeUntil(const std::function<bool()>& done) { return ReadRequests(done); }

Status DeviceLoop::Serve(std::size_t threads, const std::function<void()>& started) {
  {
    std::vector<std::jthread> readers;
    for (std::size_t i = 0; i < std::max<std::size_t>(threads, 1); ++i) {
      readers.emplace_back([this] {
        SetThreadName("fuse-read");
        Status status = ReadRequests([] { return false; });
        Stop();  // one reader that ends ends them all
        if (!status.ok()) {
          const MutexLock lock(mutex_);
          if (outcome_.ok()) {
            outcome_ = std::move(status);
          }
        }
      });
    }
    if (started) {
      started();
    }
  }
  const MutexLock lock(mutex_);
  return outcome_;
}

}  // namespace bt::fuse
