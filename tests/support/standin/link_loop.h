// The thread that moves all bytes of all links: one epoll loop with a timer precise enough for millisecond delays.
//
// Threading: Run() and AddListener() from any thread but the loop's own. Links given to it must outlive it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <unordered_map>
#include <vector>

#include "tests/support/standin/link.h"
#include "transport/base/sync.h"
#include "transport/base/unique_fd.h"

namespace bt::standin {

class LinkLoop {
 public:
  static Result<std::unique_ptr<LinkLoop>> Start();
  LinkLoop();
  // Ends the thread and closes all connections. Links added to it may be gone by then only if RemoveLinks() was called.
  ~LinkLoop();
  LinkLoop(const LinkLoop&) = delete;
  LinkLoop& operator=(const LinkLoop&) = delete;

  // Runs `work` on the loop's thread and waits for it.
  void Run(const std::function<void()>& work);

  void AddLink(Link& link);
  // Closes all listeners and connections of all links.
  void RemoveLinks();

  // A port of the loopback (0: any) whose connections pass over `link` to far ends made by `make_far_end`.
  Result<std::uint16_t> AddListener(Link& link, std::uint16_t port,
                                    std::function<std::unique_ptr<FarEnd>()> make_far_end);

 private:
  friend class Link;

  // What an epoll event belongs to. Exactly one of the pointers is set.
  struct Watch {
    Link* link = nullptr;
    Link::Listener* listener = nullptr;
    Connection* connection = nullptr;
    bool far = false;
  };

  void Loop();
  void WaitForEvents(TimePoint until, bool work_left);
  void RunQueue();
  // Accepts or refuses on the listener's port, as the link says now.
  Status Reopen(Link& link, Link::Listener& listener);
  void Accept(Link& link, Link::Listener& listener);
  bool PumpLink(Link& link, TimePoint now);
  void WatchSocket(int fd, std::uint32_t events, const Watch& watch);
  void Forget(int fd);

  UniqueFd epoll_;
  UniqueFd timer_;
  UniqueFd wake_;

  Mutex mutex_;
  std::vector<std::function<void()>> queue_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;

  // The loop's thread only.
  std::vector<Link*> links_;
  std::unordered_map<int, Watch> watches_;  // by descriptor
  SegmentPool pool_;
  TimePoint armed_ = TimePoint::max();

  std::jthread thread_;
};

}  // namespace bt::standin
