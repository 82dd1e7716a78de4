// Stands between sshd (standard input and output) and the real sftp-server: relays, counts, and breaks by script.
//
// Threading: one thread, one poll loop.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "tests/support/sftp_tap/flow.h"
#include "tests/support/sftp_tap/shared_page.h"

namespace bt::tap {

class Tap {
 public:
  // Descriptors are non-blocking and stay the caller's, but for `to_server`, which is closed when the client is done.
  Tap(SharedPage& page, int from_client, int to_client, int from_server, int to_server);

  // Relays until either side is done. False when a fault asks for the connection to be cut.
  bool Run();

 private:
  Verdict OnRequest(const PacketHead& head);
  Verdict OnReply(const PacketHead& head);
  void CountRequest(const PacketHead& head, std::uint8_t request);
  // The fault that fires on this request, if any.
  const Fault* FaultFor(std::uint8_t request, Action* action);
  void Inject(std::uint32_t id);
  int PollTimeout() const;

  SharedPage& page_;
  const int from_client_;
  const int to_client_;
  const int from_server_;
  int to_server_;
  Flow up_;
  Flow down_;

  std::uint64_t now_ns_ = 0;
  std::uint64_t outstanding_ = 0;
  std::uint64_t last_reply_ns_ = 0;
  std::uint64_t hold_until_ns_ = 0;       // 0: nothing is held
  std::optional<std::uint32_t> lose_id_;  // reply to drop before cutting
  std::vector<std::byte> injected_;       // replies of our own, waiting for a packet boundary
};

}  // namespace bt::tap
