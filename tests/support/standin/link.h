// The emulated link in front of the stand-in's ports. Settings take effect before the call returns and hold for all
// connections, old and new; bytes already on their way keep their times.
//
// What it cannot show: the kernel acknowledges on the loopback whatever the link does, so TCP itself (keepalive,
// TCP_USER_TIMEOUT) never notices a stall.
//
// Threading: any thread but the loop's own. Calls wait for the loop, which never blocks.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/support/standin/connection.h"
#include "tests/support/standin/far_end.h"
#include "transport/base/result.h"

namespace bt::standin {

class LinkLoop;

enum class Direction { kUp, kDown };  // from the client, to the client

enum class StallNew { kToo, kPass };  // what happens to connections made during a stall

struct LinkCounters {
  std::uint64_t connections = 0;  // accepted, since the start
  std::uint64_t open = 0;         // now
  std::uint64_t bytes_up = 0;     // as they arrived at the far side, TLS and SSH framing included
  std::uint64_t bytes_down = 0;
  std::uint64_t cuts = 0;  // connections cut by CutAll(), CutEvery() and CutAfter()
};

class Link {
 public:
  explicit Link(LinkLoop& loop) : loop_(loop) {}
  ~Link() = default;
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  // Half of it each way. Making a connection costs one too.
  void SetRtt(std::chrono::microseconds rtt);
  // Shared by all connections, each direction on its own; 0: no limit.
  void SetRate(std::uint64_t bytes_per_second);
  void SetRate(std::uint64_t up, std::uint64_t down);
  // At most this many bytes unacknowledged, each connection and direction: throughput <= window / RTT. 0: no limit.
  void SetWindow(std::uint64_t bytes);

  // Resets all connections now.
  void CutAll();
  // Resets all connections again and again, after times between `min` and `max` that follow from the seed.
  void CutEvery(std::uint64_t seed, std::chrono::milliseconds min, std::chrono::milliseconds max);
  void StopCutting();
  // Lets exactly `bytes` more arrive in that direction (all connections together), then resets all connections. Once.
  void CutAfter(Direction direction, std::uint64_t bytes);

  // A black hole: nothing passes and nobody is told. Ending it delivers what was on the way.
  void Stall(StallNew fresh = StallNew::kToo);
  void EndStall();

  // Connecting is refused (as by a host with nothing on that port), until called with false. Existing connections stay.
  Status RefuseConnections(bool refuse);
  // Further connections are accepted and reset; 0: no limit.
  void SetMaxConnections(std::uint64_t connections);

  LinkCounters counters() const;  // waits for the loop

 private:
  friend class LinkLoop;

  struct Listener {
    UniqueFd fd;
    std::uint16_t port = 0;
    std::function<std::unique_ptr<FarEnd>()> make_far_end;
  };

  // On the loop's thread.
  void CutNow();
  TimePoint DrawNextCut(TimePoint now);

  LinkLoop& loop_;

  // The loop's thread only.
  LinkDirection up_;
  LinkDirection down_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<std::unique_ptr<Connection>> connections_;
  bool stalled_ = false;
  bool stall_new_ = false;
  bool refusing_ = false;
  std::uint64_t max_connections_ = 0;
  TimePoint next_cut_ = TimePoint::max();
  std::mt19937_64 cut_random_;
  std::chrono::milliseconds cut_min_{};
  std::chrono::milliseconds cut_max_{};

  std::atomic<std::uint64_t> accepted_{0};
  std::atomic<std::uint64_t> open_{0};
  std::atomic<std::uint64_t> cuts_{0};
};

}  // namespace bt::standin
