// What happens to the calls made on a FakeRemoteFs: which fail and how, which are held, and which were made.
//
//   script.OnCall(3, FakeOp::kRead, Fault::NotDone({Code::kDisconnected, "cut", "test", Fate::kNotSent}));
//   script.OnNextCall(FakeOp::kRename, Fault::ReplyLost());
//
//   script.Hold(FakeOp::kRead);
//   ... start readers ...
//   ASSERT_TRUE(script.WaitUntilHeld(FakeOp::kRead, 4));
//   script.Release(FakeOp::kRead);
//
// Threading: every method from any thread. Destroyed only after the last call has returned.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "transport/base/sync.h"
#include "transport/remote_path.h"

namespace bt {

enum class FakeOp {
  kLstat,
  kStat,
  kSetAttributes,
  kReadDirectory,
  kReadLink,
  kMakeSymlink,
  kMakeDirectory,
  kRemoveFile,
  kRemoveDirectory,
  kRename,
  kMakeHardLink,
  kOpen,
  kStatFs,
  kRealPath,
  kCopyRange,
  // On an open file.
  kRead,
  kWrite,
  kFileStat,
  kFileSetAttributes,
  kSync,
  kClose,  // logged and counted; cannot fail or be held
};
inline constexpr std::size_t kFakeOps = static_cast<std::size_t>(FakeOp::kClose) + 1;

std::string_view FakeOpName(FakeOp op);

struct FakeCall {
  FakeOp op = FakeOp::kLstat;
  RemotePath path;                // of an open file: where it was opened
  RemotePath other;               // second path of rename, hard link and copy
  std::uint64_t offset = 0;       // of read, write and copy (in the source)
  std::uint64_t length = 0;       // bytes asked for
  std::uint64_t length_done = 0;  // kWrite: how many of them the script lets through; used by the fake itself
};

struct Fault {
  // Runs in the thread of the call, before it is done, with no lock held: change the tree at an exact moment.
  std::function<void()> action;
  std::optional<Error> instead;            // the call is not done and fails with this
  std::optional<Error> after;              // the call is done and fails with this
  std::optional<std::uint64_t> cut_after;  // kWrite: this many bytes are written before `instead`

  static Fault NotDone(Error error = {Code::kDisconnected, "connection lost", "fake.cut", Fate::kNotSent});
  static Fault ReplyLost(Error error = {Code::kDisconnected, "connection lost", "fake.cut", Fate::kUnknown});
  static Fault CutAfter(std::uint64_t bytes,
                        Error error = {Code::kDisconnected, "connection lost", "fake.cut", Fate::kUnknown});
  static Fault Do(std::function<void()> action);
};

class FaultScript {
 public:
  enum class HoldPoint {
    kBeforeDoing,  // as if the request were still on its way
    kAfterDoing,   // as if the reply were
  };

  // The `n`-th call of `op` from now; 1 is the next.
  void OnCall(std::uint64_t n, FakeOp op, Fault fault);
  void OnNextCall(FakeOp op, Fault fault) { OnCall(1, op, std::move(fault)); }
  // All that no OnCall() names, until Clear().
  void OnEveryCall(FakeOp op, Fault fault);
  // Forgets faults; releases nothing.
  void Clear();

  // Calls of `op` that begin from now on wait until Release() or the end of their context (then they fail with its
  // error and Fate::kUnknown).
  void Hold(FakeOp op, HoldPoint point = HoldPoint::kBeforeDoing);
  // Lets the held calls go, and later ones pass.
  void Release(FakeOp op);
  // Lets one held call go and goes on holding.
  void ReleaseOne(FakeOp op);
  std::size_t held(FakeOp op) const;
  // False when `ctx` ended first.
  bool WaitUntilHeld(FakeOp op, std::size_t calls,
                     const OpContext& ctx = OpContext::WithTimeout(std::chrono::seconds(30))) const;

  // Calls made since the start or ForgetCalls(); those that their context refused at once are not among them.
  std::uint64_t count(FakeOp op) const;
  std::uint64_t total() const;
  std::vector<FakeCall> calls() const;
  std::vector<FakeCall> calls(FakeOp op) const;
  void ForgetCalls();

  // For FakeRemoteFs: around each call, without locks held. An error of either is the answer of the call. `call` gets
  // its length_done.
  struct Passage {
    std::optional<Error> instead;
    std::optional<Error> after;
  };
  Result<Passage> Enter(const OpContext& ctx, FakeCall& call);
  Status Leave(const OpContext& ctx, const FakeCall& call, const Passage& passage);
  void Record(const FakeCall& call);

 private:
  struct PerOp {
    std::uint64_t begun = 0;  // never reset: what OnCall() counts by
    std::map<std::uint64_t, Fault> faults;
    std::optional<Fault> every;
    std::optional<HoldPoint> hold;
    std::uint64_t hold_round = 0;  // changes at Release(): calls held in an earlier round may go
    std::uint64_t passes = 0;      // ReleaseOne() tickets not yet used
    std::size_t held = 0;
  };

  PerOp& At(FakeOp op) REQUIRES(mutex_) { return ops_[static_cast<std::size_t>(op)]; }
  const PerOp& At(FakeOp op) const REQUIRES(mutex_) { return ops_[static_cast<std::size_t>(op)]; }
  Status WaitAtHold(const OpContext& ctx, FakeOp op, HoldPoint point) REQUIRES(mutex_);

  mutable Mutex mutex_;
  mutable CondVar changed_;
  std::array<PerOp, kFakeOps> ops_ GUARDED_BY(mutex_);
  std::vector<FakeCall> calls_ GUARDED_BY(mutex_);
};

}  // namespace bt
