#include "tests/support/standin/link_loop.h"

#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <future>
#include <utility>

#include "tests/support/standin/sockets.h"
#include "transport/base/thread_name.h"

namespace bt::standin {
namespace {

timespec ToTimespec(TimePoint time) {
  const auto since = time.time_since_epoch();  // steady_clock is CLOCK_MONOTONIC here
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since);
  return {.tv_sec = seconds.count(),
          .tv_nsec = std::chrono::duration_cast<std::chrono::nanoseconds>(since - seconds).count()};
}

// A network does not wait for a processor, so its thread goes before those it connects. Where it may: root's right. A
// nice value is not enough: with autogroups (sched(7)) it counts within the session only, and client and servers have
// sessions of their own.
void GoBeforeWhatItConnects() {
  const sched_param lowest{.sched_priority = ::sched_get_priority_min(SCHED_RR)};
  if (::sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &lowest) != 0) {
    static_cast<void>(::setpriority(PRIO_PROCESS, 0, -10));
  }
}

}  // namespace

Result<std::unique_ptr<LinkLoop>> LinkLoop::Start() {
  auto loop = std::make_unique<LinkLoop>();
  if (!loop->epoll_ || !loop->timer_ || !loop->wake_) {
    return Error{Code::kInternal, "cannot make an epoll loop", "standin.loop"};
  }
  for (const int fd : {loop->timer_.get(), loop->wake_.get()}) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    ::epoll_ctl(loop->epoll_.get(), EPOLL_CTL_ADD, fd, &event);
  }
  loop->thread_ = std::jthread([raw = loop.get()] { raw->Loop(); });
  return loop;
}

LinkLoop::LinkLoop()
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      timer_(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)),
      wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

LinkLoop::~LinkLoop() {
  if (thread_.joinable()) {
    RemoveLinks();
    {
      MutexLock lock(mutex_);
      stopping_ = true;
    }
    ::eventfd_write(wake_.get(), 1);
    thread_.join();
  }
}

void LinkLoop::Run(const std::function<void()>& work) {
  std::promise<void> done;
  {
    MutexLock lock(mutex_);
    queue_.emplace_back([&] {
      work();
      done.set_value();
    });
  }
  ::eventfd_write(wake_.get(), 1);
  done.get_future().wait();
}

void LinkLoop::AddLink(Link& link) {
  Run([&] { links_.push_back(&link); });
}

void LinkLoop::RemoveLinks() {
  Run([&] {
    for (Link* link : links_) {
      link->listeners_.clear();
      link->connections_.clear();
      link->open_ = 0;
    }
    links_.clear();
    watches_.clear();
  });
}

Result<std::uint16_t> LinkLoop::AddListener(Link& link, std::uint16_t port,
                                            std::function<std::unique_ptr<FarEnd>()> make_far_end) {
  Result<std::uint16_t> answer = port;
  Run([&] {
    auto listener = std::make_unique<Link::Listener>();
    listener->port = port;
    listener->make_far_end = std::move(make_far_end);
    if (Status opened = Reopen(link, *listener); !opened.ok()) {
      answer = std::move(opened).error();
      return;
    }
    answer = listener->port;
    link.listeners_.push_back(std::move(listener));
  });
  return answer;
}

Status LinkLoop::Reopen(Link& link, Link::Listener& listener) {
  if (!link.refusing_ && listener.fd) {  // it is bound already, which kept the port ours
    TRY(Listen(listener.fd.get()));
  } else {
    if (listener.fd) {
      Forget(listener.fd.get());
      listener.fd.Reset();
    }
    listener.fd = TRY(BindLoopback(listener.port));
    listener.port = LocalPort(listener.fd.get());
    if (link.refusing_) {
      return {};
    }
    TRY(Listen(listener.fd.get()));
  }
  WatchSocket(listener.fd.get(), EPOLLIN, {.link = &link, .listener = &listener});
  return {};
}

void LinkLoop::WatchSocket(int fd, std::uint32_t events, const Watch& watch) {
  watches_[fd] = watch;
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
}

void LinkLoop::Forget(int fd) {
  watches_.erase(fd);
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

void LinkLoop::Loop() {
  SetThreadName("standin-link");
  GoBeforeWhatItConnects();
  for (;;) {
    RunQueue();
    {
      MutexLock lock(mutex_);
      if (stopping_) {
        return;
      }
    }
    bool work_left = false;
    for (Link* link : links_) {
      work_left = PumpLink(*link, Clock::now()) || work_left;
    }
    TimePoint next = TimePoint::max();
    const TimePoint now = Clock::now();
    for (const Link* link : links_) {
      next = std::min(next, link->next_cut_);
      for (const auto& connection : link->connections_) {
        next = std::min(next, connection->NextEvent());
      }
    }
    WaitForEvents(next, work_left || next <= now);
  }
}

bool LinkLoop::PumpLink(Link& link, TimePoint now) {
  if (now >= link.next_cut_) {
    link.CutNow();
    link.next_cut_ = link.DrawNextCut(now);
  }
  auto& connections = link.connections_;
  bool work_left = false;
  for (const auto& connection : connections) {
    const int far_before = connection->far_end().fd();
    work_left = connection->Pump(now) || work_left;
    const int far_after = connection->far_end().fd();
    if (far_after >= 0 && far_before < 0 && !connection->over()) {
      WatchSocket(far_after, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {.connection = connection.get(), .far = true});
    }
  }
  if (link.up_.cut_after == 0 || link.down_.cut_after == 0) {
    link.up_.cut_after = link.down_.cut_after = -1;
    link.CutNow();
  }
  std::erase_if(connections, [this](const std::unique_ptr<Connection>& connection) {
    if (!connection->over()) {
      return false;
    }
    // Its descriptors may be closed already, and their numbers in use by another connection: look for the owner.
    std::erase_if(watches_, [&](const auto& entry) { return entry.second.connection == connection.get(); });
    return true;
  });
  // Who sends little goes before who sends much, so that a limited rate is shared fairly and a single packet does not
  // wait for the turns of all the others.
  std::stable_partition(connections.begin(), connections.end(),
                        [](const std::unique_ptr<Connection>& connection) { return !connection->sent(); });
  link.open_ = connections.size();
  return work_left;
}

void LinkLoop::WaitForEvents(TimePoint until, bool work_left) {
  if (!work_left && until != armed_) {
    armed_ = until;
    itimerspec when{};  // all zero: never
    if (until != TimePoint::max()) {
      when.it_value = ToTimespec(until);
    }
    ::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
  }
  std::array<epoll_event, 64> events;
  const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), work_left ? 0 : -1);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    const int fd = event.data.fd;
    if (fd == timer_.get() || fd == wake_.get()) {
      eventfd_t ignored = 0;
      ::eventfd_read(fd, &ignored);  // a timer's count is read the same way
      if (fd == timer_.get()) {
        armed_ = TimePoint::max();
      }
      continue;
    }
    const auto found = watches_.find(fd);
    if (found == watches_.end()) {
      continue;
    }
    const Watch watch = found->second;
    if (watch.listener != nullptr) {
      Accept(*watch.link, *watch.listener);
      continue;
    }
    Ready& ready = watch.far ? watch.connection->far_end().ready : watch.connection->client_ready;
    const bool hang_up = (event.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    ready.hang_up = ready.hang_up || hang_up;
    ready.read = ready.read || hang_up || (event.events & EPOLLIN) != 0;
    ready.write = ready.write || (event.events & (EPOLLOUT | EPOLLERR)) != 0;
  }
}

void LinkLoop::Accept(Link& link, Link::Listener& listener) {
  for (;;) {
    UniqueFd client(::accept4(listener.fd.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!client) {
      return;
    }
    ++link.accepted_;
    TuneStream(client.get());
    if (link.max_connections_ > 0 && link.connections_.size() >= link.max_connections_) {
      ResetOnClose(client.get());
      continue;
    }
    const int fd = client.get();
    auto connection = std::make_unique<Connection>(std::move(client), listener.make_far_end(), link.up_, link.down_,
                                                   pool_, Clock::now());
    connection->SetStalled(link.stalled_ && link.stall_new_);
    WatchSocket(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {.connection = connection.get()});
    link.connections_.push_back(std::move(connection));
  }
}

void LinkLoop::RunQueue() {
  std::vector<std::function<void()>> work;
  {
    MutexLock lock(mutex_);
    work.swap(queue_);
  }
  for (const auto& item : work) {
    item();
  }
}

}  // namespace bt::standin
