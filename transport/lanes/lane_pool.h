// The bulk lanes of one session: further connections for bulk data, opened in the background when sustained transfer
// needs them and closed when idle, so that the interactive lane (the session's first connection) stays quick.
//
// A refusal (MaxStartups, a proxy or a service that says no) is learnt: what there is, is used, and another try comes
// after a backoff that doubles. A lane whose host key is not the interactive lane's leads to another container and is
// refused. A lane that ends closes its channels; the files on them go on elsewhere (stripe.h).
//
// Threading: any thread. One thread per lane once it was wanted, and a few for errands. Destruction joins them; the
// last reference must not be dropped by one of them, so errands hold none.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "transport/base/sync.h"
#include "transport/lanes/bulk_channel.h"
#include "transport/lanes/lane_connection.h"
#include "transport/server_clock.h"

namespace bt::lanes {

struct LaneOptions {
  unsigned connections = 4;  // bulk lanes, besides the interactive one; 0: none
  // A round trip shorter than this, and one window moves more bytes than a processor works off: more lanes than
  // processors would only be in each other's way.
  std::chrono::milliseconds near{10};
  // An OpenSSH server takes 2 MiB per channel and round trip, a usual TCP window is 4 MiB: two that send, one that
  // waits.
  unsigned channels_per_lane = 3;
  std::uint64_t worth_a_lane = 4U << 20U;     // bulk bytes in a row; twice of it is worth all of them
  std::chrono::milliseconds pause{5'000};     // without bulk work: what was transferred before is forgotten
  std::chrono::milliseconds idle{30'000};     // without bulk work: lanes are closed
  std::chrono::milliseconds silence{15'000};  // with work under way: a lane counts as dead, as the link does
  std::chrono::milliseconds dial_timeout{30'000};
  std::chrono::milliseconds first_retry{30'000};  // after a refusal; doubles
  std::chrono::milliseconds first_redial{1'000};  // after a lane died young; doubles
  std::chrono::milliseconds last_retry{600'000};
};

class LanePool {
 public:
  // What uses a channel: reads need one per lane, writes all whose server is known. Handles can be on any. Beside the
  // interactive lane's own there is one that helps with writes (Widen).
  enum class For { kReading, kWriting, kWritingBeside, kHandles };

  // `dialer` outlives the pool.
  LanePool(std::shared_ptr<LaneConnection> interactive, LaneDialer& dialer, const LaneOptions& options);
  ~LanePool();
  LanePool(const LanePool&) = delete;
  LanePool& operator=(const LanePool&) = delete;

  // Bulk bytes are about to be transferred: lanes are opened as that goes on.
  void NoteBulk(std::size_t bytes);
  // Much is about to be written, and no bulk lane is there: opens a second channel on the interactive one, in the
  // background and once. A channel takes 2 MiB per round trip, which would be all until the lanes are there.
  void Widen();
  // Open channels.
  std::vector<std::shared_ptr<BulkChannel>> Channels(For what) const;
  // Calls it for each lane that opens from now on, on an errand's thread, while it lives.
  using LaneWatcher = std::function<void()>;
  void Watch(const std::shared_ptr<const LaneWatcher>& watcher);
  // Bulk lanes that are up.
  unsigned lanes() const;
  // Whether the first are on their way.
  bool opening() const;
  // Whether the server is so far away that all lanes, a usual TCP window a round trip each, do not fill a usual link.
  bool window_bound() const;
  // As Session::unsettled_servers().
  std::vector<std::optional<ServerProcess>> unsettled_servers() const;

  // The channel's connection failed: its lane ends.
  void Lost(BulkChannel& channel, const Error& why);
  // A write was lost on a bulk lane, and the server may still execute it: whatever is sent again through another
  // connection could be overtaken by it. So the session ends as a whole, as it does when its only connection dies.
  void EndSession(const Error& why);
  // Ends all lanes, and takes no more.
  void Stop(const Error& why);

  // Bulk bytes on the interactive lane, which requests of people queue behind.
  class InteractiveShare {
   public:
    InteractiveShare(LanePool& pool, std::size_t bytes) : pool_(&pool), bytes_(bytes) {}
    ~InteractiveShare();
    InteractiveShare(InteractiveShare&& other) noexcept
        : pool_(std::exchange(other.pool_, nullptr)), bytes_(other.bytes_) {}
    InteractiveShare& operator=(InteractiveShare&&) = delete;
    InteractiveShare(const InteractiveShare&) = delete;
    InteractiveShare& operator=(const InteractiveShare&) = delete;

   private:
    LanePool* pool_;
    std::size_t bytes_;
  };
  InteractiveShare TakeShare(std::size_t bytes);
  // Nothing when more than `limit` would be under way, and something is.
  std::optional<InteractiveShare> TryTakeShare(std::size_t bytes, std::uint64_t limit);

  // Waits until a channel came or went, an errand ended or interactive bytes arrived since changes() was `seen`.
  std::uint64_t changes() const;
  Status AwaitChange(const OpContext& ctx, std::uint64_t seen) const;
  void NotifyChange();

  // Runs `errand` soon on a thread of the pool, unless the pool is stopped. The context ends with the pool.
  void Run(std::function<void(const OpContext&)> errand);

  const ServerClock& clock() const { return clock_; }

 private:
  struct Lane {
    std::shared_ptr<LaneConnection> connection;
    std::vector<std::shared_ptr<BulkChannel>> channels;
  };

  void Keep(const std::stop_token& stop, unsigned index);
  bool AwaitWanted(const OpContext& ctx, unsigned index);
  std::shared_ptr<LaneConnection> Dial(const std::stop_token& stop);
  void Refused(const Error& why);
  Lane OpenChannels(const OpContext& ctx, std::shared_ptr<LaneConnection> connection);
  void Publish(const Lane& lane);
  void GetToKnow(TimePoint now);
  void NoteRoundTrip(Duration took);
  // Finds out who serves it, in the background.
  void Identify(const std::shared_ptr<BulkChannel>& channel);
  // Until the lane has ended, of itself or for want of work.
  void Carry(const std::stop_token& stop, const Lane& lane);
  // Why the lane is over, if it is.
  std::optional<Error> Ended(const Lane& lane) const;
  bool CloseIfIdle(const Lane& lane) const;
  void RunErrands();
  unsigned WantedLocked(TimePoint now) const REQUIRES(mutex_);

  const std::shared_ptr<LaneConnection> interactive_;
  LaneDialer& dialer_;
  const LaneOptions options_;
  std::stop_source stop_;
  ServerClock clock_;

  mutable Mutex mutex_;
  mutable CondVar changed_;
  std::uint64_t changes_ GUARDED_BY(mutex_) = 0;
  bool stopped_ GUARDED_BY(mutex_) = false;
  std::vector<Lane> lanes_ GUARDED_BY(mutex_);
  bool widened_ GUARDED_BY(mutex_) = false;
  std::shared_ptr<BulkChannel> beside_ GUARDED_BY(mutex_);  // stays with the session: its end would end the connection
  std::vector<std::weak_ptr<const LaneWatcher>> watchers_ GUARDED_BY(mutex_);
  // All that are open, and those of ended lanes whose server may have something left to write.
  std::vector<std::shared_ptr<BulkChannel>> channels_ GUARDED_BY(mutex_);
  std::uint64_t next_channel_ GUARDED_BY(mutex_) = 1;
  TimePoint asked_at_ GUARDED_BY(mutex_) = TimePoint::max();  // for the first round trip
  Duration round_trip_ GUARDED_BY(mutex_) = Duration::max();  // the shortest that was seen
  std::uint64_t bulk_in_a_row_ GUARDED_BY(mutex_) = 0;
  TimePoint last_bulk_ GUARDED_BY(mutex_);
  std::uint64_t interactive_bulk_ GUARDED_BY(mutex_) = 0;
  // After a refusal, or the death of a lane.
  TimePoint no_dial_before_ GUARDED_BY(mutex_) = TimePoint::min();
  std::chrono::milliseconds next_retry_ GUARDED_BY(mutex_);
  std::chrono::milliseconds next_redial_ GUARDED_BY(mutex_);
  std::deque<std::function<void(const OpContext&)>> errands_ GUARDED_BY(mutex_);
  std::size_t idle_errand_threads_ GUARDED_BY(mutex_) = 0;

  std::vector<std::jthread> keepers_ GUARDED_BY(mutex_);
  std::vector<std::jthread> errand_threads_ GUARDED_BY(mutex_);
};

}  // namespace bt::lanes
