// One request on its way: decoded by ops, run on the pool, answered through its Reply.
#pragma once

#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "fs/filesystem.h"
#include "fs/fuse/interrupt.h"
#include "fs/fuse/libfuse.h"
#include "fs/fuse/operation_pool.h"
#include "fs/fuse/reply.h"
#include "transport/base/op_context.h"

namespace bt::fuse {

// What every request needs; the user data of the FUSE session. Outlives all requests.
struct Border {
  Filesystem& fs;
  OperationPool& pool;
  InterruptRegistry& interrupts;
  ReplyCounters& counters;
  std::chrono::milliseconds timeout{0};  // of one request, from its decoding to its answer; 0: none
  std::chrono::milliseconds negative_ttl{0};
  std::atomic<bool>* initialised = nullptr;  // set by the kernel's INIT
  std::atomic<bool> init_answer_due{false};  // from then on until it is answered
  fuse_session* session = nullptr;
};

inline Border& BorderOf(fuse_req_t request) { return *static_cast<Border*>(fuse_req_userdata(request)); }

struct Call {
  Call(Border& border, fuse_req_t request, Subject subject)
      : fs(border.fs), session(border.session), reply(request, std::move(subject), border.counters) {}

  // From here on FUSE_INTERRUPT and the timeout reach the request.
  void StartClock(Border& border) {
    std::stop_token cancel = reply.AllowInterrupt(border.interrupts);
    if (border.timeout.count() == 0) {
      ctx.cancel = std::move(cancel);
    } else {
      ctx = OpContext::WithTimeout(border.timeout, std::move(cancel));
    }
  }

  InodeNo inode() const { return reply.subject().inode; }
  const std::string& name() const { return reply.subject().name; }

  Filesystem& fs;
  fuse_session* session;
  OpContext ctx;
  Reply reply;
};

// The only place that catches: what is thrown (out of memory, a defect) becomes the answer to this one request.
template <typename Body>
void Answer(Call& call, Body& body) {
  std::string what = "an unknown exception";
  try {
    body(call);
    return;
  } catch (const std::exception& error) {
    what = error.what();
  } catch (...) {
  }
  if (!call.reply.answered()) {
    call.reply.Failed(Error{Code::kInternal, std::move(what), "fuse.exception"});
  }
}

// How long a request stays queued before memory is asked: what the link keeper takes to doubt a silent link, and a bit.
inline constexpr auto kQueuePatience = std::chrono::milliseconds(1100);

struct NoMemory {
  bool operator()(Call& /*call*/) const { return false; }
};

template <typename Body, typename Memory>
class Operation final : public PoolTask {
 public:
  Operation(Border& border, fuse_req_t request, TaskKind kind, Subject subject, Body body, Memory memory)
      : call_(border, request, std::move(subject)), body_(std::move(body)), memory_(std::move(memory)), kind_(kind) {
    call_.StartClock(border);
  }

  void Run() override {
    const Status status = call_.ctx.Check();
    if (!status.ok()) {
      call_.reply.Failed(status.error());
    } else {
      Answer(call_, body_);
    }
  }
  void Refuse(const Error& why) override { call_.reply.Failed(why); }
  const OpContext& context() const override { return call_.ctx; }
  TaskKind kind() const override { return kind_; }
  TimePoint impatient_at() const override { return impatient_at_; }
  bool AnswerFromMemory() override {
    impatient_at_ = Clock::now() + kQueuePatience;
    return memory_(call_);
  }

 private:
  Call call_;
  Body body_;
  Memory memory_;
  TaskKind kind_;
  TimePoint impatient_at_ =
      std::is_same_v<Memory, NoMemory> ? TimePoint::max() : TimePoint(Clock::now() + kQueuePatience);
};

// For what may wait: `body(Call&)` runs on the pool. `memory(Call&)` may answer instead, and says whether it did, when
// the pool gets to nothing any more.
template <typename Body, typename Memory = NoMemory>
void OnPool(fuse_req_t request, TaskKind kind, Subject subject, Body body, Memory memory = {}) {
  Border& border = BorderOf(request);
  border.pool.Submit(std::make_unique<Operation<Body, Memory>>(border, request, kind, std::move(subject),
                                                               std::move(body), std::move(memory)));
}

// For what needs no I/O: `body(Call&)` runs on the thread that reads requests.
template <typename Body>
void Here(fuse_req_t request, Subject subject, Body body) {
  Call call(BorderOf(request), request, std::move(subject));
  Answer(call, body);
}

}  // namespace bt::fuse
