#include "transport/lanes/lane_file.h"

#include <algorithm>
#include <utility>

#include "transport/base/units.h"

namespace bt::lanes {
namespace {

// A handle on another lane costs three round trips, so a file gets one for each of these.
constexpr std::uint64_t kWorthAHandle = 4_MiB;
// By how much a file must have grown under our writes before handles are opened for them.
constexpr std::uint64_t kWorthWriting = 2_MiB;
// Who begins to read a file of this size is likely to read the rest: then what was read counts for more.
constexpr std::uint64_t kMuchToCome = 256_MiB;
constexpr std::uint64_t kMuchToComeWeight = 16;
// As ServerClock::Settled, for a file whose mtime we have seen ourselves: after this no second writer leaves the same.
constexpr std::chrono::seconds kAtRest{3};

// Bulk bytes under way on the interactive lane while bulk lanes are opened, and get their handles. Reads: a usual TCP
// window, which is what the way holds, but for some room: an answer to people that finds it full waits for as long as
// the way takes.
constexpr std::uint64_t kReadShare = 4_MiB - 512_KiB;
// Writes: half a window more, so that neither of the two channels runs dry.
constexpr std::uint64_t kWriteShare = 6_MiB;
// More would wait on a bulk lane. The interactive one helps with reads where the distance is what limits them all, and
// with writes when all are full, by a part of its window that leaves room for people.
constexpr std::uint64_t kFullLane = 4_MiB;
constexpr std::uint64_t kShareBesides = 1_MiB;

bool IsLinkError(const Error& error) { return error.code == Code::kDisconnected || error.code == Code::kProtocol; }

bool EndedByCaller(const Error& error) { return error.code == Code::kTimedOut || error.code == Code::kInterrupted; }

}  // namespace

LaneFile::LaneFile(std::shared_ptr<LanePool> pool, const RemotePath& path, const OpenFlags& flags, OpenedFile opened)
    : pool_(std::move(pool)),
      here_(std::move(opened.file)),
      when_opened_(opened.attributes),
      growth_(std::make_shared<Growth>(opened.attributes.size)) {
  // Proofs are errands of the pool, so it is there when they run.
  if (flags.read) {
    reading_ = std::make_shared<Stripe>(
        path, OpenFlags{.read = true},
        [here = here_, &lanes = *pool_, when_opened = when_opened_, opened_at = opened_at_](
            const OpContext& ctx, const Stripe::Opening& open) -> Result<Sameness> {
          StatBeside of_here(ctx, *here);
          RemoteFile* const there = TRY(open());
          const Attributes seen_there = TRY(there->Stat(ctx));
          const Attributes seen_here = TRY(of_here.Take());
          const Sameness sameness = CompareForReading(seen_there, seen_here);
          return sameness != Sameness::kSame || AtRest(lanes, when_opened, opened_at, seen_here.mtime)
                     ? sameness
                     : Sameness::kNotYet;
        });
  }
  // As soon as a lane is there, because by then all who read may wait for what is on its way here.
  if (reading_ != nullptr && when_opened_.size >= kWorthAHandle) {
    spread_ = std::make_shared<const LanePool::LaneWatcher>(
        [stripe = reading_, &lanes = *pool_, when_opened = when_opened_, opened_at = opened_at_] {
          if (AtRest(lanes, when_opened, opened_at, when_opened.mtime)) {
            stripe->Spread(lanes, lanes.Channels(LanePool::For::kReading), when_opened.size / kWorthAHandle);
          }
        });
  }
  // The server places appended bytes itself.
  if (flags.write && !flags.append) {
    writing_ = std::make_shared<Stripe>(path, OpenFlags{.write = true},
                                        [here = here_, growth = growth_, when_opened = when_opened_](
                                            const OpContext& ctx, const Stripe::Opening& open) -> Result<Sameness> {
                                          RemoteFile* const there = TRY(open());
                                          return growth->Prove(ctx, *there, *here, when_opened);
                                        });
  }
}

LaneFile::~LaneFile() {
  growth_->OnClose();
  const auto channels = pool_->Channels(LanePool::For::kHandles);
  for (const auto& stripe : {reading_, writing_}) {
    if (stripe != nullptr) {
      stripe->Close(channels);
    }
  }
}

bool LaneFile::AtRest(const LanePool& pool, const Attributes& when_opened, TimePoint opened_at, std::int64_t mtime) {
  return pool.clock().Settled(mtime, Clock::now()) ||
         (mtime == when_opened.mtime && Clock::now() - opened_at >= kAtRest);
}

std::optional<LanePool::InteractiveShare> LaneFile::ShareBesides(const BulkChannel& channel, std::size_t bytes) {
  return channel.under_way() > kFullLane && pool_->window_bound() ? pool_->TryTakeShare(bytes, kShareBesides)
                                                                  : std::nullopt;
}

LaneFile::Way LaneFile::FindWayToRead(const OpContext& ctx, std::size_t bytes) {
  for (;;) {
    const std::uint64_t seen = pool_->changes();
    const auto channels = pool_->Channels(LanePool::For::kReading);
    // The age is that of the opening; what changed since is younger, and the proof sees that.
    if (channels.empty() && spread_ != nullptr && !watching_.exchange(true)) {
      pool_->Watch(spread_);
    }
    const bool may_go_by_lanes =
        reading_ != nullptr && !reading_->given_up() && AtRest(*pool_, when_opened_, opened_at_, when_opened_.mtime);
    if (channels.empty() ? !pool_->opening() : !may_go_by_lanes) {
      break;
    }
    if (!channels.empty() && when_opened_.size >= kWorthAHandle) {
      reading_->Spread(*pool_, channels, when_opened_.size / kWorthAHandle);
    }
    auto way = channels.empty() ? std::nullopt : reading_->Choose(channels, bytes);
    if (way) {
      if (auto share = ShareBesides(way->use.channel(), bytes)) {
        return Way{std::nullopt, std::move(share)};
      }
      return Way{std::move(way), std::nullopt};
    }
    if (auto share = pool_->TryTakeShare(bytes, kReadShare)) {
      return Way{std::nullopt, std::move(share)};
    }
    if (!channels.empty()) {
      reading_->Spread(*pool_, channels, 1);
    }
    if ((!channels.empty() && !reading_->opening()) || !pool_->AwaitChange(ctx, seen)) {
      break;
    }
  }
  return Way{std::nullopt, pool_->TakeShare(bytes)};
}

Result<std::size_t> LaneFile::Read(const OpContext& ctx, std::uint64_t offset, std::span<std::byte> out) {
  if (out.size() <= kSmall) {
    return here_->Read(ctx, offset, out);
  }
  pool_->NoteBulk(when_opened_.size >= kMuchToCome ? kMuchToComeWeight * out.size() : out.size());
  for (;;) {
    Way way = FindWayToRead(ctx, out.size());
    if (!way.bulk) {
      return here_->Read(ctx, offset, out);
    }
    auto got = way.bulk->file->Read(ctx, offset, out);
    if (got || EndedByCaller(got.error())) {
      return got;
    }
    BulkChannel& channel = way.bulk->use.channel();
    if (IsLinkError(got.error())) {
      pool_->Lost(channel, got.error());
    } else {
      reading_->Distrust(channel);  // the handle that was opened first has the last word
    }
  }
}

Result<LaneFile::Way> LaneFile::FindWayToWrite(const OpContext& ctx, std::size_t bytes) {
  for (;;) {
    const std::uint64_t seen = pool_->changes();
    std::uint64_t limit = kWriteShare;
    if (writing_ != nullptr && !writing_->given_up()) {
      const std::uint64_t grown = growth_->grown();
      if (grown >= kWorthWriting) {
        writing_->Spread(*pool_, pool_->Channels(LanePool::For::kHandles),
                         std::max<std::size_t>(grown / kWorthAHandle, 1));
      }
      const auto channels = pool_->Channels(LanePool::For::kWriting);
      if (auto way = writing_->Choose(channels, bytes, kFullLane)) {
        return Way{std::move(way), std::nullopt};
      }
      // Where all are full it goes on here, be it slowly: reads may fill them for ever.
      if (writing_->ready(channels) && !writing_->opening()) {
        limit = kShareBesides;
      } else {
        pool_->Widen();
      }
    }
    if (auto share = pool_->TryTakeShare(bytes, limit)) {
      auto beside = writing_ == nullptr
                        ? std::nullopt
                        : writing_->Choose(pool_->Channels(LanePool::For::kWritingBeside), bytes, kWriteShare / 2);
      return Way{std::move(beside), std::move(share)};
    }
    TRY(pool_->AwaitChange(ctx, seen));
  }
}

Status LaneFile::Write(const OpContext& ctx, std::uint64_t offset, std::span<const std::byte> bytes) {
  const std::uint64_t end = offset + bytes.size();
  growth_->OnSend(end);
  Status written = bytes.size() <= kSmall ? WriteHere(ctx, offset, bytes) : WriteBulk(ctx, offset, bytes);
  if (written.ok()) {
    growth_->OnAcknowledge(end);
  }
  return written;
}

Status LaneFile::WriteBulk(const OpContext& ctx, std::uint64_t offset, std::span<const std::byte> bytes) {
  pool_->NoteBulk(bytes.size());
  for (;;) {
    Status written;
    bool elsewhere = false;
    {
      const Way way = TRY(FindWayToWrite(ctx, bytes.size()));
      elsewhere = way.bulk.has_value();
      written = elsewhere ? WriteThere(ctx, *way.bulk, offset, bytes) : WriteHere(ctx, offset, bytes);
    }
    if (elsewhere) {
      pool_->NotifyChange();  // there is room for another; a share tells that itself
    }
    const bool channel_gone =
        elsewhere && !written.ok() && written.error().fate == Fate::kNotSent && IsLinkError(written.error());
    if (!channel_gone) {
      return written;
    }
  }
}

Status LaneFile::WriteThere(const OpContext& ctx, const Stripe::Way& way, std::uint64_t offset,
                            std::span<const std::byte> bytes) {
  BulkChannel& channel = way.use.channel();
  channel.NoteWrite();
  Status written = way.file->Write(ctx, offset, bytes);
  if (written.ok() || written.error().fate == Fate::kAnswered) {
    return written;
  }
  if (written.error().fate == Fate::kUnknown) {
    channel.NoteLostWrite();
    pool_->EndSession(written.error());
  } else if (IsLinkError(written.error())) {
    pool_->Lost(channel, written.error());
  }
  return written;
}

Result<std::optional<Attributes>> LaneFile::WriteAndChange(const OpContext& ctx, std::uint64_t offset,
                                                           std::span<const std::byte> bytes,
                                                           const AttributeChange& change) {
  if (bytes.size() > kSmall) {
    return RemoteFile::WriteAndChange(ctx, offset, bytes, change);  // its parts may go different ways
  }
  const std::uint64_t end = offset + bytes.size();
  if (!bytes.empty()) {
    growth_->OnSend(end);
  }
  Result<std::optional<Attributes>> done = here_->WriteAndChange(ctx, offset, bytes, change);
  if (done.ok() && !bytes.empty()) {
    growth_->OnAcknowledge(end);
  } else if (!done.ok() && done.error().fate == Fate::kUnknown && writing_ != nullptr) {
    writing_->GiveUp();
  }
  return done;
}

Status LaneFile::WriteHere(const OpContext& ctx, std::uint64_t offset, std::span<const std::byte> bytes) {
  Status written = here_->Write(ctx, offset, bytes);
  if (!written.ok() && written.error().fate == Fate::kUnknown && writing_ != nullptr) {
    writing_->GiveUp();
  }
  return written;
}

}  // namespace bt::lanes
