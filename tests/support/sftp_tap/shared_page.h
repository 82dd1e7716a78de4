// The page that a node's taps (one process an SFTP session) share with the stand-in, mapped from a file: counters that
// the taps add to, and faults that the stand-in arms.
//
// Threading: every field is atomic; any number of processes may use the page at once. A fault's `action` is stored
// last when arming, so that a tap never sees a half-written fault.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace bt::tap {

enum class Action : std::uint32_t {
  kNone,
  kLoseRequest,  // the request never reaches the server; the connection is cut
  kLoseReply,    // the server does the work; its reply is dropped and the connection is cut
  kDelay,        // the request, and all behind it on its session, wait `milliseconds`
  kFail,         // SSH_FX_FAILURE is answered; the server never sees the request
};

struct Fault {
  std::atomic<std::uint32_t> action;        // Action
  std::atomic<std::uint32_t> request;       // number as in requests.h
  std::atomic<std::uint32_t> skip;          // matching requests to let pass first
  std::atomic<std::uint32_t> times;         // how often it fires before it is disarmed; 0 means always
  std::atomic<std::uint32_t> milliseconds;  // for kDelay
};

struct SharedPage {
  std::atomic<std::uint32_t> armed;   // any fault armed: lets the taps skip the table
  std::atomic<std::uint64_t> rtt_ns;  // of the emulated link, to tell a new turn from a late part of the last one

  std::atomic<std::uint64_t> sessions;  // SFTP sessions started
  std::atomic<std::uint64_t> replies;
  std::atomic<std::uint64_t> bytes_read;     // payload of DATA replies
  std::atomic<std::uint64_t> bytes_written;  // payload of WRITE requests
  // Times a request arrived while none was outstanding (and, with a delay on the link, long enough after the last reply
  // to have been caused by it): the round trips that the client waited for.
  std::atomic<std::uint64_t> turns;
  std::atomic<std::uint64_t> faults_fired;
  std::array<std::atomic<std::uint64_t>, 256> requests;

  std::array<Fault, 8> faults;
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

}  // namespace bt::tap
