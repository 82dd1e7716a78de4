// The handles of one open file on the bulk channels, for one direction: opened by path in the background, used once
// they have proved to be the same file (same_file.h), and let go with the file or with their channel.
//
// Threading: any thread. Nothing here waits for the network but the errands.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "transport/base/sync.h"
#include "transport/lanes/bulk_channel.h"
#include "transport/lanes/lane_pool.h"
#include "transport/lanes/same_file.h"
#include "transport/remote_fs.h"

namespace bt::lanes {

class Stripe : public std::enable_shared_from_this<Stripe> {
 public:
  // Opens the handle that is to be proved, and owns it.
  using Opening = std::function<Result<RemoteFile*>()>;
  // Whether the handle leads to the file; opens it once. Blocks, on an errand's thread.
  using Proof = std::function<Result<Sameness>(const OpContext&, const Opening&)>;

  Stripe(RemotePath path, const OpenFlags& flags, Proof proof);
  ~Stripe();
  Stripe(const Stripe&) = delete;
  Stripe& operator=(const Stripe&) = delete;

  // A handle that is ready, and the channel it is on, with `bytes` counted as under way there.
  struct Way {
    BulkChannel::Use use;
    std::shared_ptr<RemoteFile> file;
  };
  // The one with the least under way, if that is less than `full` and, for a write, than its allowance; nothing while
  // there is none.
  std::optional<Way> Choose(const std::vector<std::shared_ptr<BulkChannel>>& channels, std::size_t bytes,
                            std::uint64_t full = std::numeric_limits<std::uint64_t>::max());
  // Whether one of them has a handle that is ready, full or not.
  bool ready(const std::vector<std::shared_ptr<BulkChannel>>& channels) const;

  // Sees to it that up to `count` of the channels have a handle or get one. `pool` runs the errands.
  void Spread(LanePool& pool, const std::vector<std::shared_ptr<BulkChannel>>& channels, std::size_t count);
  // Whether one is being opened now.
  bool opening() const;

  // This handle failed where the file itself may not.
  void Distrust(const BulkChannel& channel);
  // The name may lead to another file from now on: no more handles, and none that is being opened now is used.
  void NameChanged();
  // No handle is used any more.
  void GiveUp();
  bool given_up() const;
  const RemotePath& path() const { return path_; }
  // The file is closed: what is being opened will not be used.
  void Close(const std::vector<std::shared_ptr<BulkChannel>>& channels);

 private:
  enum class State { kOpening, kReady, kUnusable, kLater };
  struct Place {
    State state = State::kOpening;
    TimePoint not_before;  // kLater
  };

  bool ReadyLocked(const BulkChannel& channel) const REQUIRES(mutex_);
  void Open(const OpContext& ctx, const BulkChannel::Use& use);
  Result<Sameness> OpenAndProve(const OpContext& ctx, const BulkChannel::Use& use, std::shared_ptr<RemoteFile>& handle);

  const RemotePath path_;
  const OpenFlags flags_;
  const Proof proof_;

  mutable Mutex mutex_;
  std::map<std::uint64_t, Place> places_ GUARDED_BY(mutex_);  // by the channel's number
  unsigned disappointments_ GUARDED_BY(mutex_) = 0;
  bool name_changed_ GUARDED_BY(mutex_) = false;
  bool given_up_ GUARDED_BY(mutex_) = false;
  bool closed_ GUARDED_BY(mutex_) = false;
};

}  // namespace bt::lanes
