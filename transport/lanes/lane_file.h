// An open file whose bulk data travels on the bulk lanes. Everything else, and all of it while there is no bulk lane or
// no other handle has proved to be this file, goes through the handle on the interactive lane.
//
// Ordering: Write() returns when the server has acknowledged, whichever way it went, and all handles are of one inode:
// what is asked through any of them afterwards (read, fsync, size) covers it. A write whose fate is not known ends
// that: on a bulk lane it ends the session, so that nothing later can be overtaken by it; on the interactive lane later
// writes of this file stay on that lane, behind it.
//
// Threading: as RemoteFile.
#pragma once

#include <atomic>
#include <memory>
#include <optional>

#include "transport/lanes/lane_pool.h"
#include "transport/lanes/same_file.h"
#include "transport/lanes/stripe.h"
#include "transport/remote_fs.h"

namespace bt::lanes {

class LaneFile final : public RemoteFile {
 public:
  // Smaller ones go with the metadata: an answer in one round trip matters more than the load.
  static constexpr std::size_t kSmall = std::size_t{128} * 1024;

  LaneFile(std::shared_ptr<LanePool> pool, const RemotePath& path, const OpenFlags& flags, OpenedFile opened);
  ~LaneFile() override;
  LaneFile(const LaneFile&) = delete;
  LaneFile& operator=(const LaneFile&) = delete;

  Result<std::size_t> Read(const OpContext& ctx, std::uint64_t offset, std::span<std::byte> out) override;
  Status Write(const OpContext& ctx, std::uint64_t offset, std::span<const std::byte> bytes) override;
  Result<std::optional<Attributes>> WriteAndChange(const OpContext& ctx, std::uint64_t offset,
                                                   std::span<const std::byte> bytes,
                                                   const AttributeChange& change) override;
  Result<Attributes> Stat(const OpContext& ctx) override { return here_->Stat(ctx); }
  Status SetAttributes(const OpContext& ctx, const AttributeChange& change) override {
    return here_->SetAttributes(ctx, change);
  }
  Status Sync(const OpContext& ctx) override { return here_->Sync(ctx); }

  // The handle on the interactive lane.
  RemoteFile& here() { return *here_; }
  // Null where the file was not opened for it.
  const std::shared_ptr<Stripe>& reading() const { return reading_; }
  const std::shared_ptr<Stripe>& writing() const { return writing_; }

 private:
  // A handle on a bulk channel, a share of the interactive lane, or both for the channel that is beside its own.
  struct Way {
    std::optional<Stripe::Way> bulk;
    std::optional<LanePool::InteractiveShare> interactive;
  };
  // Of the interactive lane, for a read that would wait on this channel while distance limits all lanes.
  std::optional<LanePool::InteractiveShare> ShareBesides(const BulkChannel& channel, std::size_t bytes);
  Way FindWayToRead(const OpContext& ctx, std::size_t bytes);
  Result<Way> FindWayToWrite(const OpContext& ctx, std::size_t bytes);
  Status WriteBulk(const OpContext& ctx, std::uint64_t offset, std::span<const std::byte> bytes);
  Status WriteThere(const OpContext& ctx, const Stripe::Way& way, std::uint64_t offset,
                    std::span<const std::byte> bytes);
  Status WriteHere(const OpContext& ctx, std::uint64_t offset, std::span<const std::byte> bytes);

  // Whether nobody can have made another file of the same mtime since.
  static bool AtRest(const LanePool& pool, const Attributes& when_opened, TimePoint opened_at, std::int64_t mtime);

  const std::shared_ptr<LanePool> pool_;
  const std::shared_ptr<RemoteFile> here_;
  const Attributes when_opened_;
  const TimePoint opened_at_ = Clock::now();
  const std::shared_ptr<Growth> growth_;
  std::shared_ptr<Stripe> reading_;  // constant once made
  std::shared_ptr<Stripe> writing_;
  std::shared_ptr<const LanePool::LaneWatcher> spread_;  // gives the file handles on the lanes there are; constant
  std::atomic<bool> watching_{false};
};

}  // namespace bt::lanes
