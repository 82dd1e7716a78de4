// One client connection over the emulated link: the client's socket, a line each way, and the far end.
//
// Threading: the link loop's thread.
#pragma once

#include <memory>

#include "tests/support/standin/delay_line.h"
#include "tests/support/standin/far_end.h"
#include "transport/base/unique_fd.h"

namespace bt::standin {

class Connection {
 public:
  Connection(UniqueFd client, std::unique_ptr<FarEnd> far_end, LinkDirection& up, LinkDirection& down,
             SegmentPool& pool, TimePoint now);

  // Moves what can be moved. True when its turn ended before its work did.
  bool Pump(TimePoint now);

  // Whether bytes went on their way in the last Pump(), in either direction.
  bool sent() const { return up_.entered() + down_.entered() != entered_before_; }

  // When to Pump() again although no socket became ready.
  TimePoint NextEvent() const;

  // Ends both sides with a reset.
  void Cut();

  void SetStalled(bool stalled) { stalled_ = stalled; }
  bool stalled() const { return stalled_; }
  bool over() const { return over_; }

  int client_fd() const { return client_.get(); }
  FarEnd& far_end() { return *far_end_; }
  Ready client_ready;

 private:
  bool ReadClient(TimePoint now);
  bool WriteClient(TimePoint now);
  void Linger(TimePoint now);

  UniqueFd client_;
  std::unique_ptr<FarEnd> far_end_;
  const TimePoint opens_at_;  // when the client's connection arrives at the far end
  DelayLine up_;
  DelayLine down_;
  TimePoint pumped_at_{};
  std::uint64_t entered_before_ = 0;  // bytes that had entered both lines when Pump() was last called
  bool opened_ = false;
  bool stalled_ = false;
  bool client_gone_ = false;
  bool over_ = false;
  // After the last byte for the client: its own end is awaited, because closing a socket with unread bytes sends a
  // reset that can overtake what the client has still to read.
  TimePoint linger_until_ = TimePoint::max();
};

}  // namespace bt::standin
