// One SFTP channel of a bulk lane, and the handles that open files have on it. The channel owns the handles, so that
// nothing of a lane that ended lives on in files that happen to stay open.
//
// Threading: any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>

#include "transport/base/sync.h"
#include "transport/remote_fs.h"
#include "transport/server_process.h"

namespace bt::lanes {

class BulkChannel : public std::enable_shared_from_this<BulkChannel> {
 public:
  // `number` tells channels apart for the life of the pool. `first` is the first channel of its lane: reads use only
  // these, since one channel can fill a connection downwards.
  BulkChannel(std::shared_ptr<RemoteFs> fs, std::uint64_t number, bool first);

  // Work on the channel: bytes that count as under way while this lives. An idle channel is one without.
  class Use {
   public:
    Use(std::shared_ptr<BulkChannel> channel, std::size_t bytes) : channel_(std::move(channel)), bytes_(bytes) {}
    ~Use();
    Use(Use&& other) noexcept : channel_(std::move(other.channel_)), bytes_(other.bytes_) {}
    Use& operator=(Use&&) = delete;
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

    BulkChannel& channel() const { return *channel_; }
    // Only while the Use lives; may fail at any time, as a connection does.
    RemoteFs& fs() const { return *channel_->fs_; }

   private:
    std::shared_ptr<BulkChannel> channel_;
    std::size_t bytes_;
  };

  // Nothing once the channel is closed.
  std::optional<Use> Begin(std::size_t bytes);

  // The process that executes what is sent on the channel, or that there is no knowing it. Until then nothing may be
  // written: who is to be waited for when the connection is lost must be known before.
  void Identify(std::optional<ServerProcess> server);
  bool identified() const;
  std::optional<ServerProcess> server() const;

  // Before a write is sent, and when its answer will never come: as long as one is without an answer, and for good when
  // that was lost, the server may have something left to write.
  void NoteWrite();
  void NoteLostWrite();
  bool may_still_write() const;

  std::uint64_t number() const { return number_; }
  bool first() const { return first_; }
  std::uint64_t under_way() const;
  // How much of writes may be under way, by what went before, as TCP begins: an OpenSSH server piles up what it cannot
  // work off at once in a buffer that it enlarges for each packet, by copying all of it.
  std::uint64_t allowance() const;
  // When work was last begun or ended.
  TimePoint last_used() const;
  // Since when there has been work without a break; nothing while there is none.
  std::optional<TimePoint> busy_since() const;
  bool closed() const;

  // No work begins any more, and the handles are let go.
  void Close();
  // Closes it unless it was used since `since`. True when it is closed.
  bool CloseUnlessUsedSince(TimePoint since);

  // Handles, by the address of their owner. False, and the handle is let go, when the channel is closed.
  bool Keep(const void* owner, std::shared_ptr<RemoteFile> handle);
  std::shared_ptr<RemoteFile> handle(const void* owner) const;
  void LetGo(const void* owner);

 private:
  using Handles = std::unordered_map<const void*, std::shared_ptr<RemoteFile>>;

  const std::shared_ptr<RemoteFs> fs_;
  const std::uint64_t number_;
  const bool first_;

  mutable Mutex mutex_;
  std::optional<ServerProcess> server_ GUARDED_BY(mutex_);
  bool identified_ GUARDED_BY(mutex_) = false;
  bool closed_ GUARDED_BY(mutex_) = false;
  bool written_ GUARDED_BY(mutex_) = false;
  bool write_lost_ GUARDED_BY(mutex_) = false;
  std::uint64_t under_way_ GUARDED_BY(mutex_) = 0;
  std::uint64_t moved_ GUARDED_BY(mutex_) = 0;
  std::size_t uses_ GUARDED_BY(mutex_) = 0;
  TimePoint last_used_ GUARDED_BY(mutex_);
  TimePoint busy_since_ GUARDED_BY(mutex_);
  Handles handles_ GUARDED_BY(mutex_);
};

}  // namespace bt::lanes
