// Whether a handle that was opened by path on another channel leads to the same file. SFTP v3 has no inode number, and
// the name may have been given to another file meanwhile, so it must be proved.
//
// For reading (CompareForReading): size, mtime, mode and owner of both handles agree, asked while the second was being
// opened and after it was, and the file has been at rest for some seconds by the server's clock. Another file of the
// same size, made since, has another mtime.
//
// For writing a mistake would change somebody else's file, so that is not enough. Nothing is set on the server to find
// out, either: SFTP v3 sets atime and mtime together and in whole seconds, which would move mtime under the feet of
// everybody who watches it, and its undoing could overtake what a program sets. Instead the file must be seen to grow
// with our own writes (Growth): its size through the new handle lies between what the server has acknowledged and what
// was sent, and does so again after more was acknowledged than the first size. Only a file that gets our bytes does
// that. Files that do not grow (written in place) and files opened for appending are written through one handle.
//
// Threading: Growth any thread; the rest are pure functions and values.
#pragma once

#include <cstdint>
#include <optional>
#include <thread>
#include <utility>

#include "transport/base/sync.h"
#include "transport/remote_fs.h"

namespace bt::lanes {

enum class Sameness {
  kSame,
  kNotYet,  // cannot be told now
  kOther,   // not the same, or it cannot be told at all
};

// `there` and `here`: the two handles; `there` was asked after it was opened.
Sameness CompareForReading(const Attributes& there, const Attributes& here);
// What must agree of a file that is being written.
bool SameKind(const Attributes& there, const Attributes& here);

// Asks what a handle is beside other work, because the answer queues behind what is under way there.
class StatBeside {
 public:
  // Both outlive it.
  StatBeside(const OpContext& ctx, RemoteFile& file) : asking_([this, &ctx, &file] { answer_ = file.Stat(ctx); }) {}
  StatBeside(const StatBeside&) = delete;
  StatBeside& operator=(const StatBeside&) = delete;
  ~StatBeside() = default;

  // Blocks for the answer. Once.
  Result<Attributes> Take() {
    asking_.join();
    return std::move(answer_);
  }

 private:
  Result<Attributes> answer_ = Error{};
  std::jthread asking_;  // ends first
};

// How far the file must have reached by our own writes.
class Growth {
 public:
  explicit Growth(std::uint64_t size) : base_(size), acknowledged_(size), sent_(size) {}

  // A write that ends at `end`: before it is sent, and after the server has acknowledged it.
  void OnSend(std::uint64_t end);
  void OnAcknowledge(std::uint64_t end);

  // The size is at least the one and at most the other, while nobody else writes.
  std::uint64_t at_least() const;
  std::uint64_t at_most() const;
  // By how much our writes made the file grow.
  std::uint64_t grown() const;

  // Until more than `size` is acknowledged, the context ends or the file is closed.
  Status AwaitBeyond(const OpContext& ctx, std::uint64_t size) const;
  void OnClose();

  // Looks at the file through `there` until it is proved or not; `here` is the handle that is the file, and was `known`
  // when that was opened. Only when that has changed is it asked again: its answer queues behind what is written there.
  Result<Sameness> Prove(const OpContext& ctx, RemoteFile& there, RemoteFile& here, const Attributes& known) const;

 private:
  // What is seen, if its size fits.
  Result<std::optional<Attributes>> Look(const OpContext& ctx, RemoteFile& there) const;

  const std::uint64_t base_;
  mutable Mutex mutex_;
  mutable CondVar grew_;
  std::uint64_t acknowledged_ GUARDED_BY(mutex_);
  std::uint64_t sent_ GUARDED_BY(mutex_);
  bool closed_ GUARDED_BY(mutex_) = false;
};

}  // namespace bt::lanes
