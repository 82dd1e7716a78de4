#include "tests/support/sftp_tap/tap.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <string_view>

#include "tests/support/sftp_tap/requests.h"

namespace bt::tap {
namespace {

constexpr std::uint8_t kData = 103;
constexpr std::byte kStatus{101};
constexpr std::byte kStatusFailure{4};

std::uint64_t NowNs() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(now.tv_nsec);
}

void Add(std::atomic<std::uint64_t>& counter, std::uint64_t n) { counter.fetch_add(n, std::memory_order_relaxed); }

// One less, if there is any: sessions of one node share the fault's counters.
bool TakeOne(std::atomic<std::uint32_t>& counter) {
  std::uint32_t value = counter.load();
  while (value > 0) {
    if (counter.compare_exchange_weak(value, value - 1)) {
      return true;
    }
  }
  return false;
}

// The number under which a request is counted: its type, or the number of its extension.
std::uint8_t RequestNumber(const PacketHead& head) {
  if (head.type != kExtended || head.bytes.size() < 9) {
    return head.type;
  }
  const std::size_t length = ReadU32(head.bytes.subspan(5));
  const auto rest = head.bytes.subspan(9);
  if (length > rest.size()) {
    return kExtended;
  }
  return RequestByExtension({reinterpret_cast<const char*>(rest.data()), length});
}

}  // namespace

Tap::Tap(SharedPage& page, int from_client, int to_client, int from_server, int to_server)
    : page_(page),
      from_client_(from_client),
      to_client_(to_client),
      from_server_(from_server),
      to_server_(to_server),
      up_(from_client, to_server, [this](const PacketHead& head) { return OnRequest(head); }),
      down_(from_server, to_client, [this](const PacketHead& head) { return OnReply(head); }) {}

bool Tap::Run() {
  Add(page_.sessions, 1);
  for (;;) {
    if (up_.drained() && hold_until_ns_ == 0 && to_server_ >= 0) {
      ::close(to_server_);  // sftp-server ends after what it has
      to_server_ = -1;
    }
    const bool holding = hold_until_ns_ != 0;
    std::array<pollfd, 4> fds{
        pollfd{.fd = up_.wants_read() ? from_client_ : -1, .events = POLLIN, .revents = 0},
        pollfd{.fd = up_.wants_write() ? to_server_ : -1, .events = POLLOUT, .revents = 0},
        pollfd{.fd = down_.wants_read() ? from_server_ : -1, .events = POLLIN, .revents = 0},
        pollfd{.fd = down_.wants_write() || !injected_.empty() ? to_client_ : -1, .events = POLLOUT, .revents = 0}};
    if (::poll(fds.data(), fds.size(), PollTimeout()) < 0 && errno != EINTR) {
      return true;
    }
    now_ns_ = NowNs();
    up_.Pump(fds[0].revents != 0, fds[1].revents != 0 || holding, false);
    down_.Pump(fds[2].revents != 0, fds[3].revents != 0, !injected_.empty());
    if (!injected_.empty() && down_.at_boundary()) {
      const ssize_t n = ::write(to_client_, injected_.data(), injected_.size());
      if (n > 0) {
        // A partial write of these few bytes leaves the rest for the next turn, still ahead of any other packet.
        injected_.erase(injected_.begin(), injected_.begin() + n);
      } else if (n < 0 && errno != EAGAIN && errno != EINTR) {
        return true;
      }
    }
    if (up_.cut() || down_.cut()) {
      Add(page_.faults_fired, 1);
      return false;
    }
    if (down_.drained() || down_.broken()) {
      return true;
    }
  }
}

int Tap::PollTimeout() const {
  if (hold_until_ns_ == 0) {
    return -1;
  }
  const std::uint64_t now = NowNs();
  return now >= hold_until_ns_ ? 0 : static_cast<int>((hold_until_ns_ - now) / 1'000'000U) + 1;
}

const Fault* Tap::FaultFor(std::uint8_t request, Action* action) {
  if (page_.armed.load(std::memory_order_acquire) == 0) {
    return nullptr;
  }
  for (Fault& fault : page_.faults) {
    *action = static_cast<Action>(fault.action.load(std::memory_order_acquire));
    if (*action == Action::kNone || fault.request.load() != request || TakeOne(fault.skip)) {
      continue;
    }
    if (fault.times.load() > 0 && TakeOne(fault.times) && fault.times.load() == 0) {
      fault.action.store(static_cast<std::uint32_t>(Action::kNone), std::memory_order_release);
    }
    return &fault;
  }
  return nullptr;
}

Verdict Tap::OnRequest(const PacketHead& head) {
  const std::uint8_t request = RequestNumber(head);
  if (hold_until_ns_ != 0) {
    if (now_ns_ < hold_until_ns_) {
      return Verdict::kHold;
    }
    hold_until_ns_ = 0;  // already counted and judged when it came
    return Verdict::kForward;
  }
  CountRequest(head, request);
  Action action = Action::kNone;
  const Fault* fault = FaultFor(request, &action);
  if (fault == nullptr) {
    return Verdict::kForward;
  }
  switch (action) {
    case Action::kNone:
      break;
    case Action::kLoseRequest:
      return Verdict::kCut;
    case Action::kLoseReply:
      lose_id_ = head.id;
      break;
    case Action::kDelay:
      Add(page_.faults_fired, 1);
      hold_until_ns_ = now_ns_ + std::uint64_t{fault->milliseconds.load()} * 1'000'000U;
      return Verdict::kHold;
    case Action::kFail:
      Add(page_.faults_fired, 1);
      Inject(head.id);
      return Verdict::kDrop;
  }
  return Verdict::kForward;
}

void Tap::CountRequest(const PacketHead& head, std::uint8_t request) {
  Add(page_.requests[request], 1);
  if (request == kWrite && head.bytes.size() >= 9) {
    // type, id, handle (string), offset (8), data (string)
    const std::uint64_t around = 1U + 4U + 4U + std::uint64_t{ReadU32(head.bytes.subspan(5))} + 8U + 4U;
    Add(page_.bytes_written, head.length > around ? head.length - around : 0);
  }
  // A request that the last reply caused cannot arrive before a round trip has passed since that reply; what comes
  // earlier was sent together with the requests before it, and is no new turn. A tenth of slack for timers.
  const std::uint64_t rtt_ns = page_.rtt_ns.load(std::memory_order_relaxed);
  if (outstanding_ == 0 && now_ns_ - last_reply_ns_ >= rtt_ns - rtt_ns / 10U) {
    Add(page_.turns, 1);
  }
  ++outstanding_;
}

Verdict Tap::OnReply(const PacketHead& head) {
  if (lose_id_ && *lose_id_ == head.id) {
    return Verdict::kCut;
  }
  Add(page_.replies, 1);
  if (head.type == kData) {
    Add(page_.bytes_read, head.length > 9 ? head.length - 9U : 0U);
  }
  outstanding_ -= std::min<std::uint64_t>(outstanding_, 1);
  last_reply_ns_ = now_ns_;
  return Verdict::kForward;
}

void Tap::Inject(std::uint32_t id) {
  constexpr std::string_view kText = "failure asked for by the test";
  const auto put_u32 = [this](std::uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) {
      injected_.push_back(static_cast<std::byte>((value >> static_cast<unsigned>(shift)) & 0xffU));
    }
  };
  put_u32(1 + 4 + 4 + 4 + static_cast<std::uint32_t>(kText.size()) + 4);
  injected_.push_back(kStatus);
  put_u32(id);
  put_u32(std::to_integer<std::uint32_t>(kStatusFailure));
  put_u32(static_cast<std::uint32_t>(kText.size()));
  for (const char c : kText) {
    injected_.push_back(static_cast<std::byte>(c));
  }
  put_u32(0);  // language tag
  Add(page_.replies, 1);
  outstanding_ -= std::min<std::uint64_t>(outstanding_, 1);
  last_reply_ns_ = now_ns_;
}

}  // namespace bt::tap
