#include "tests/support/fake_remote_fs/fault_script.h"

#include <algorithm>
#include <utility>

namespace bt {

std::string_view FakeOpName(FakeOp op) {
  static constexpr std::array<std::string_view, kFakeOps> kNames{"lstat",
                                                                 "stat",
                                                                 "set-attributes",
                                                                 "read-directory",
                                                                 "read-link",
                                                                 "make-symlink",
                                                                 "make-directory",
                                                                 "remove-file",
                                                                 "remove-directory",
                                                                 "rename",
                                                                 "make-hard-link",
                                                                 "open",
                                                                 "statfs",
                                                                 "realpath",
                                                                 "copy-range",
                                                                 "read",
                                                                 "write",
                                                                 "file-stat",
                                                                 "file-set-attributes",
                                                                 "sync",
                                                                 "close"};
  return kNames[static_cast<std::size_t>(op)];
}

Fault Fault::NotDone(Error error) {
  Fault fault;
  fault.instead = std::move(error);
  return fault;
}

Fault Fault::ReplyLost(Error error) {
  Fault fault;
  fault.after = std::move(error);
  return fault;
}

Fault Fault::CutAfter(std::uint64_t bytes, Error error) {
  Fault fault = NotDone(std::move(error));
  fault.cut_after = bytes;
  return fault;
}

Fault Fault::Do(std::function<void()> action) {
  Fault fault;
  fault.action = std::move(action);
  return fault;
}

void FaultScript::OnCall(std::uint64_t n, FakeOp op, Fault fault) {
  const MutexLock lock(mutex_);
  PerOp& at = At(op);
  at.faults[at.begun + n] = std::move(fault);
}

void FaultScript::OnEveryCall(FakeOp op, Fault fault) {
  const MutexLock lock(mutex_);
  At(op).every = std::move(fault);
}

void FaultScript::Clear() {
  const MutexLock lock(mutex_);
  for (PerOp& at : ops_) {
    at.faults.clear();
    at.every.reset();
  }
}

void FaultScript::Hold(FakeOp op, HoldPoint point) {
  const MutexLock lock(mutex_);
  At(op).hold = point;
}

void FaultScript::Release(FakeOp op) {
  const MutexLock lock(mutex_);
  PerOp& at = At(op);
  at.hold.reset();
  at.passes = 0;
  ++at.hold_round;
  changed_.NotifyAll();
}

void FaultScript::ReleaseOne(FakeOp op) {
  const MutexLock lock(mutex_);
  ++At(op).passes;
  changed_.NotifyAll();
}

std::size_t FaultScript::held(FakeOp op) const {
  const MutexLock lock(mutex_);
  return At(op).held;
}

bool FaultScript::WaitUntilHeld(FakeOp op, std::size_t calls, const OpContext& ctx) const {
  const MutexLock lock(mutex_);
  while (At(op).held < calls) {
    if (!ctx.Check().ok()) {
      return false;
    }
    changed_.Wait(mutex_, ctx);
  }
  return true;
}

std::uint64_t FaultScript::count(FakeOp op) const {
  const MutexLock lock(mutex_);
  return static_cast<std::uint64_t>(
      std::count_if(calls_.begin(), calls_.end(), [op](const FakeCall& call) { return call.op == op; }));
}

std::uint64_t FaultScript::total() const {
  const MutexLock lock(mutex_);
  return calls_.size();
}

std::vector<FakeCall> FaultScript::calls() const {
  const MutexLock lock(mutex_);
  return calls_;
}

std::vector<FakeCall> FaultScript::calls(FakeOp op) const {
  std::vector<FakeCall> all = calls();
  std::erase_if(all, [op](const FakeCall& call) { return call.op != op; });
  return all;
}

void FaultScript::ForgetCalls() {
  const MutexLock lock(mutex_);
  calls_.clear();
}

void FaultScript::Record(const FakeCall& call) {
  const MutexLock lock(mutex_);
  ++At(call.op).begun;
  calls_.push_back(call);
}

Result<FaultScript::Passage> FaultScript::Enter(const OpContext& ctx, FakeCall& call) {
  TRY(ctx.Check());
  Fault fault;
  {
    const MutexLock lock(mutex_);
    PerOp& at = At(call.op);
    ++at.begun;
    calls_.push_back(call);
    if (auto scripted = at.faults.extract(at.begun); !scripted.empty()) {
      fault = std::move(scripted.mapped());
    } else if (at.every) {
      fault = *at.every;
    }
    TRY(WaitAtHold(ctx, call.op, HoldPoint::kBeforeDoing));
  }
  if (fault.action) {
    fault.action();
  }
  call.length_done = fault.instead ? std::min(call.length, fault.cut_after.value_or(0)) : call.length;
  return Passage{std::move(fault.instead), std::move(fault.after)};
}

Status FaultScript::Leave(const OpContext& ctx, const FakeCall& call, const Passage& passage) {
  {
    const MutexLock lock(mutex_);
    TRY(WaitAtHold(ctx, call.op, HoldPoint::kAfterDoing));
  }
  if (passage.after) {
    return *passage.after;
  }
  return {};
}

Status FaultScript::WaitAtHold(const OpContext& ctx, FakeOp op, HoldPoint point) {
  PerOp& at = At(op);
  if (at.hold != point) {
    return {};
  }
  const std::uint64_t round = at.hold_round;
  ++at.held;
  changed_.NotifyAll();
  Status status;
  while (at.hold_round == round) {
    if (at.passes > 0) {
      --at.passes;
      break;
    }
    status = ctx.Check(Fate::kUnknown);
    if (!status.ok()) {
      break;
    }
    changed_.Wait(mutex_, ctx);
  }
  --at.held;
  changed_.NotifyAll();
  return status;
}

}  // namespace bt
