// Writes that programs have been told are accepted and the server has not acknowledged yet.
//
// Order: two writes of one inode that overlap are never on their way at the same time; the later one waits, whichever
// handle it came through. Appending writes are sent one after the other, since each lands where the one before ended;
// they count as overlapping everything. All others travel side by side. Neighbours that wait are joined.
//
// Gathering: the last chunk of a file is held while it is small, so that the next write joins it, until somebody waits
// for it (close, fsync, truncate, a read of the range) or it is 100 ms old.
//
// Changes: chmod, chown and utimens of a file that is being written travel behind its last chunk, in the same request
// to the RemoteFile. Times come after every write that was accepted before them, and before every later one. Of a file
// that was closed a moment ago (fs/closed_files.h) they wait for others of their kind, but not for long.
//
// Errors belong to the handle that wrote: the first is reported once, by its next Write or Flush. One that nobody is
// left to collect is logged as lost and counted.
//
// Threading: any thread. Waits end with the context; their deadline counts from the last acknowledgement of the mount,
// so that a slow link is not taken for a dead one.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "fs/filesystem.h"
#include "fs/inode_table.h"
#include "fs/open_file.h"
#include "transport/base/sync.h"

namespace bt {

struct WriteBufferOptions {
  std::uint64_t dirty_limit = 0;  // bytes; a Write that does not fit waits
  unsigned threads = 1;
  std::chrono::milliseconds write_timeout{0};
};

class WriteBuffer {
 public:
  // `inodes` names files in messages and outlives the buffer.
  WriteBuffer(const InodeTable& inodes, const WriteBufferOptions& options);
  // Ends writes on their way and drops what was never sent, loudly. Waits for the threads only.
  ~WriteBuffer();
  WriteBuffer(const WriteBuffer&) = delete;
  WriteBuffer& operator=(const WriteBuffer&) = delete;

  // Takes a copy of `bytes`, or nothing of it. Waits only for room.
  Status Write(const OpContext& ctx, const std::shared_ptr<OpenFile>& file, std::uint64_t offset,
               std::span<const std::byte> bytes);
  // Takes a change without a size to be done behind what was accepted before; never waits. Its error is one of the
  // handle's. The caller has told the inode (Inode::ChangeAccepted).
  // `until_done` lives until it was done, or has failed.
  void Change(const std::shared_ptr<OpenFile>& file, const AttributeChange& change,
              std::shared_ptr<const void> until_done);
  // Every write and change of the handle acknowledged; its first error.
  Status Flush(const OpContext& ctx, const OpenFile& file);
  // Whether Flush() would return success at once.
  bool Clean(FileHandle handle) const;
  // Every write of the inode acknowledged or failed; errors stay with their handles.
  Status Drain(const OpContext& ctx, InodeNo inode);
  // The same for those that touch the range (appending ones always do).
  Status DrainRange(const OpContext& ctx, InodeNo inode, std::uint64_t offset, std::uint64_t length);
  // Every write of the mount; the first error that nobody has collected.
  Status FlushAll(const OpContext& ctx);
  // Sends the changes of the inode that are held for company.
  void Hurry(InodeNo inode);
  // Nobody will ask for errors of the handle any more: those that come from now on are lost ones.
  void Released(OpenFile& file);

  bool HasChanges(InodeNo inode) const;
  // One past the last byte of the inode's unacknowledged writes; 0 when there are none.
  std::uint64_t PendingEnd(InodeNo inode) const;
  std::uint64_t unwritten_bytes() const;
  std::vector<UnwrittenFile> unwritten_files() const;
  std::uint64_t lost_writes() const;

 private:
  // The last chunk of a file below this size waits for company while nobody waits for it, but not for long: a program
  // that writes line by line costs ten requests a second, not a request a line; and a small file, its mode and its
  // times are one request when it is closed.
  static constexpr std::uint64_t kWorthSending = 256 * 1024;
  static constexpr std::chrono::milliseconds kGather{100};
  static constexpr std::chrono::milliseconds kGatherChanges{10};

  struct Chunk {
    std::shared_ptr<OpenFile> file;  // belongs to the sending thread while on its way
    FileHandle handle{};
    bool append = false;
    std::uint64_t offset = 0;
    std::vector<std::byte> bytes{};  // not changed while on its way
    AttributeChange change{};        // to be done behind the bytes
    std::uint64_t serial = 0;        // grows with every chunk of the mount
    unsigned writes = 1;             // of programs, joined here
    unsigned changes = 0;            // the same
    std::vector<std::shared_ptr<const void>> until_done{};
    TimePoint send_at{};  // at the latest; joined by others before
    bool on_its_way = false;

    std::uint64_t end() const { return offset + bytes.size(); }
  };
  using Chunks = std::list<Chunk>;
  struct PendingFile {
    Chunks chunks;  // in the order of the programs
    unsigned on_their_way = 0;
    unsigned waiters = 0;
  };
  struct HandleWrites {
    std::uint64_t chunks = 0;
    std::optional<Error> error;
    bool released = false;
  };
  // What a wait is for: the whole mount, a range of an inode, or what one handle wrote to its inode.
  struct Scope {
    std::optional<FileHandle> handle;
    std::optional<InodeNo> inode;
    std::uint64_t offset = 0;
    std::uint64_t length = UINT64_MAX;
  };
  struct Job {
    InodeNo inode{};
    Chunks::iterator chunk;
    OpContext ctx;
    TimePoint sent_at;
    bool look = false;  // nothing else of the file is left: what it is then is worth knowing
  };
  struct Sent {
    Status status;
    std::optional<Attributes> seen;
  };

  static bool Conflict(const Chunk& earlier, const Chunk& later);
  static bool Touches(const Chunk& chunk, std::uint64_t offset, std::uint64_t length);
  static bool Join(PendingFile& pending, const std::shared_ptr<OpenFile>& file, std::uint64_t offset,
                   std::span<const std::byte> bytes);
  Status AwaitRoom(const OpContext& ctx, std::uint64_t bytes) REQUIRES(mutex_);
  Status Await(const OpContext& ctx, const Scope& scope) REQUIRES(mutex_);
  Status WorthWaiting(OpContext& patient, TimePoint began) const REQUIRES(mutex_);
  // Whether a chunk older than `serial` is left. A wait is for what was there when it began: a program that writes
  // without end must not make a reader wait without end.
  bool Busy(const Scope& scope, std::uint64_t serial) const REQUIRES(mutex_);
  Status TakeError(FileHandle handle) REQUIRES(mutex_);
  std::vector<Error> UncollectedErrors() const;
  Chunk& AddChunk(const std::shared_ptr<OpenFile>& file, Chunk chunk) REQUIRES(mutex_);
  // When nothing may be sent now, `due` becomes the time when a chunk that is held for company is to go alone.
  std::optional<Chunks::iterator> Sendable(PendingFile& pending, TimePoint now, TimePoint& due) const REQUIRES(mutex_);
  std::optional<Job> NextJob(TimePoint& due) REQUIRES(mutex_);
  void Run();
  static Sent Send(const Job& job);
  void Finish(const Job& job, Sent sent);

  const InodeTable& inodes_;
  const WriteBufferOptions options_;
  std::stop_source stop_;

  mutable Mutex mutex_;
  CondVar work_;      // something may be sent
  CondVar progress_;  // something was acknowledged or failed
  std::unordered_map<InodeNo, PendingFile> pending_ GUARDED_BY(mutex_);
  std::list<InodeNo> turns_ GUARDED_BY(mutex_);  // inodes with chunks, the next to be served first
  std::unordered_map<FileHandle, HandleWrites> handles_ GUARDED_BY(mutex_);
  std::uint64_t dirty_bytes_ GUARDED_BY(mutex_) = 0;
  std::uint64_t chunks_ GUARDED_BY(mutex_) = 0;
  std::uint64_t bytes_on_their_way_ GUARDED_BY(mutex_) = 0;
  std::uint64_t next_serial_ GUARDED_BY(mutex_) = 0;
  unsigned waiting_for_all_ GUARDED_BY(mutex_) = 0;
  TimePoint last_progress_ GUARDED_BY(mutex_) = TimePoint::min();
  std::optional<Error> lost_error_ GUARDED_BY(mutex_);  // the first lost one that FlushAll() has not reported
  std::uint64_t lost_writes_ GUARDED_BY(mutex_) = 0;

  std::vector<std::jthread> threads_;
};

}  // namespace bt
