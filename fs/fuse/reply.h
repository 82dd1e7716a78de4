// The answer to one request, given exactly once. Whoever loses a Reply without having answered answers EIO and shouts,
// because a request without an answer would hang its caller for ever.
//
// Every method takes a Result, so that an operation is one line: the value when there is one, else the error's errno
// and a line in the log (at the level of debugging, each request has one). The methods return whether the kernel took
// the answer as a success. False means that it holds nothing of what the value granted (a lookup, a handle), because
// the operation failed or because the kernel gave up on the request: the caller gives back what it holds.
//
// Threading: one thread at a time; any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "fs/filesystem.h"
#include "fs/fuse/interrupt.h"
#include "fs/fuse/libfuse.h"
#include "transport/base/op_context.h"
#include "transport/base/result.h"
#include "transport/base/shared_bytes.h"

namespace bt::fuse {

// What a request is about, for the log.
struct Subject {
  const char* op = "";
  InodeNo inode{};
  std::string name = {};  // an entry of `inode`, when the request names one
  struct Range {
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
  };
  std::optional<Range> range = std::nullopt;
};

// "lookup #1/name", "read #7 @4096+131072".
std::string Describe(const Subject& subject);

// Counts only grow.
struct ReplyCounters {
  std::atomic<std::uint64_t> succeeded{0};
  std::atomic<std::uint64_t> failed{0};
  std::atomic<std::uint64_t> interrupted{0};  // of those that failed
  std::atomic<std::uint64_t> forgotten{0};    // answered by the destructor: a defect each
};

class Reply {
 public:
  // `request` belongs to the Reply from here on. `counters` must outlive it.
  Reply(fuse_req_t request, Subject subject, ReplyCounters& counters);
  ~Reply();
  Reply(const Reply&) = delete;
  Reply& operator=(const Reply&) = delete;

  // Makes FUSE_INTERRUPT of this request reach `registry`, until the answer. Returns the token to wait with.
  std::stop_token AllowInterrupt(InterruptRegistry& registry);

  bool Done(const Status& status);
  bool LookedUp(const Result<Entry>& entry, std::chrono::milliseconds negative_ttl);  // not found: a negative entry
  bool Linked(const Result<Entry>& entry);
  bool Attributes(const Result<AttributesReply>& attributes);
  bool Opened(const Result<OpenReply>& open);
  bool OpenedDirectory(const Result<DirectoryHandle>& handle);
  bool Created(const Result<CreateReply>& created);
  bool Target(const Result<std::string>& target);
  bool Data(const Result<std::size_t>& count, std::span<const std::byte> buffer);  // the first `count` bytes of it
  bool Data(const SharedPieces& pieces);
  bool Written(const Status& status, std::size_t count);
  bool Copied(const Result<std::uint64_t>& count);
  bool Space(const Result<FsStats>& stats);
  bool Failed(const Error& error);
  // Forget, which has no answer.
  void None();

  bool answered() const { return request_ == nullptr; }
  fuse_req_t request() const { return request_; }  // null once answered
  const Subject& subject() const { return subject_; }

 private:
  fuse_req_t Take();
  bool Finish(int sent);
  void LogDone() const;

  const TimePoint begun_ = Clock::now();
  fuse_req_t request_;
  Subject subject_;
  ReplyCounters& counters_;
  InterruptRegistry* registry_ = nullptr;
  InterruptRegistry::Id interrupt_id_{};
};

}  // namespace bt::fuse
