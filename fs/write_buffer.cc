#include "fs/write_buffer.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "transport/base/units.h"

namespace bt {

namespace {

constexpr std::uint64_t kJoinLimit = 1_MiB;        // bytes of one request to the RemoteFile
constexpr std::uint64_t kAppendJoinLimit = 4_MiB;  // larger, since only one is on its way at a time
constexpr std::uint64_t kCopyUnderLock = 256_KiB;  // larger writes are not joined
constexpr std::uint64_t kMaxChunks = 4096;         // bounds the searches

}  // namespace

Status WriteBuffer::Write(const OpContext& ctx, const std::shared_ptr<OpenFile>& file, std::uint64_t offset,
                          std::span<const std::byte> bytes) {
  if (bytes.empty()) {
    return {};
  }
  const InodeNo inode = file->inode().number();
  MutexLock lock(mutex_);
  TRY(TakeError(file->handle()));
  TRY(AwaitRoom(ctx, bytes.size()));
  TRY(TakeError(file->handle()));
  dirty_bytes_ += bytes.size();
  bool worth_telling = true;
  if (Join(pending_[inode], file, offset, bytes)) {
    worth_telling = pending_[inode].chunks.back().bytes.size() >= kWorthSending;  // else its time is being kept already
  } else {
    lock.Unlock();
    Chunk chunk{.file = file,
                .handle = file->handle(),
                .append = file->append(),
                .offset = offset,
                .bytes = {bytes.begin(), bytes.end()}};
    lock.Lock();
    AddChunk(file, std::move(chunk));
  }
  file->inode().WriteAccepted(offset + bytes.size(), file->append());
  if (worth_telling) {
    work_.NotifyOne();
  }
  return {};
}

WriteBuffer::Chunk& WriteBuffer::AddChunk(const std::shared_ptr<OpenFile>& file, Chunk chunk) {
  const InodeNo inode = file->inode().number();
  chunk.serial = next_serial_++;
  chunk.send_at = Clock::now() + kGather;
  PendingFile& pending = pending_[inode];
  if (pending.chunks.empty()) {
    turns_.push_back(inode);
  }
  ++chunks_;
  HandleWrites& writes = handles_[file->handle()];
  ++writes.chunks;
  writes.released = file->released();
  return pending.chunks.emplace_back(std::move(chunk));
}

void WriteBuffer::Change(const std::shared_ptr<OpenFile>& file, const AttributeChange& change,
                         std::shared_ptr<const void> until_done) {
  MutexLock lock(mutex_);
  PendingFile& pending = pending_[file->inode().number()];
  const bool joins =
      !pending.chunks.empty() && !pending.chunks.back().on_its_way && pending.chunks.back().handle == file->handle();
  Chunk& chunk =
      joins ? pending.chunks.back() : AddChunk(file, Chunk{.file = file, .handle = file->handle(), .writes = 0});
  Merge(change, chunk.change);
  ++chunk.changes;
  if (file->closing()) {
    chunk.send_at = Clock::now() + kGatherChanges;
  }
  if (until_done != nullptr) {
    chunk.until_done.push_back(std::move(until_done));
  }
  work_.NotifyOne();
}

bool WriteBuffer::HasChanges(InodeNo inode) const {
  MutexLock lock(mutex_);
  const auto found = pending_.find(inode);
  return found != pending_.end() &&
         std::ranges::any_of(found->second.chunks, [](const Chunk& chunk) { return chunk.changes > 0; });
}

bool WriteBuffer::Join(PendingFile& pending, const std::shared_ptr<OpenFile>& file, std::uint64_t offset,
                       std::span<const std::byte> bytes) {
  if (pending.chunks.empty() || bytes.size() > kCopyUnderLock) {
    return false;
  }
  // Only with the very last one: joining an earlier one would overtake what lies between.
  Chunk& last = pending.chunks.back();
  if (last.changes > 0 && last.writes == 0 && !last.on_its_way && last.handle == file->handle() && !last.change.times) {
    // A file that was made and given its mode: both go with its first bytes.
    last.offset = offset;
    last.append = file->append();
  }
  if (last.on_its_way || last.handle != file->handle() || last.end() != offset || last.change.times ||
      last.bytes.size() + bytes.size() > (file->append() ? kAppendJoinLimit : kJoinLimit)) {
    return false;
  }
  last.bytes.insert(last.bytes.end(), bytes.begin(), bytes.end());
  ++last.writes;
  return true;
}

Status WriteBuffer::Flush(const OpContext& ctx, const OpenFile& file) {
  MutexLock lock(mutex_);
  TRY(Await(ctx, Scope{.handle = file.handle(), .inode = file.inode().number()}));
  return TakeError(file.handle());
}

bool WriteBuffer::Clean(FileHandle handle) const {
  MutexLock lock(mutex_);
  return !handles_.contains(handle);  // known as long as it has chunks or an error
}

Status WriteBuffer::Drain(const OpContext& ctx, InodeNo inode) {
  MutexLock lock(mutex_);
  return Await(ctx, Scope{.handle = {}, .inode = inode});
}

Status WriteBuffer::DrainRange(const OpContext& ctx, InodeNo inode, std::uint64_t offset, std::uint64_t length) {
  MutexLock lock(mutex_);
  return Await(ctx, Scope{.handle = {}, .inode = inode, .offset = offset, .length = length});
}

Status WriteBuffer::FlushAll(const OpContext& ctx) {
  MutexLock lock(mutex_);
  TRY(Await(ctx, Scope{}));
  if (lost_error_) {
    return *std::exchange(lost_error_, std::nullopt);
  }
  for (auto& [handle, writes] : handles_) {
    TRY(TakeError(handle));
  }
  return {};
}

void WriteBuffer::Hurry(InodeNo inode) {
  MutexLock lock(mutex_);
  const auto found = pending_.find(inode);
  if (found != pending_.end() && !found->second.chunks.empty()) {
    found->second.chunks.back().send_at = TimePoint::min();
    work_.NotifyOne();
  }
}

void WriteBuffer::Released(OpenFile& file) {
  std::optional<Error> lost;
  {
    MutexLock lock(mutex_);
    file.SetReleased();
    const auto found = handles_.find(file.handle());
    if (found == handles_.end()) {
      return;
    }
    lost = std::exchange(found->second.error, std::nullopt);
    found->second.released = true;
    if (found->second.chunks == 0) {
      handles_.erase(found);
    }
    if (lost) {
      ++lost_writes_;
      lost_error_ = lost_error_ ? lost_error_ : lost;
    }
  }
  if (lost) {
    spdlog::error("lost write, the file was closed before the error could be reported: {}", Describe(*lost));
  }
}

std::uint64_t WriteBuffer::PendingEnd(InodeNo inode) const {
  MutexLock lock(mutex_);
  const auto found = pending_.find(inode);
  std::uint64_t end = 0;
  if (found != pending_.end()) {
    for (const Chunk& chunk : found->second.chunks) {
      end = std::max(end, chunk.end());
    }
  }
  return end;
}

std::uint64_t WriteBuffer::unwritten_bytes() const {
  MutexLock lock(mutex_);
  return dirty_bytes_;
}

std::vector<UnwrittenFile> WriteBuffer::unwritten_files() const {
  std::vector<UnwrittenFile> files;
  MutexLock lock(mutex_);
  for (const auto& [inode, pending] : pending_) {
    std::uint64_t bytes = 0;
    for (const Chunk& chunk : pending.chunks) {
      bytes += chunk.bytes.size();
    }
    if (bytes > 0) {
      files.push_back({inodes_.Describe(inode), bytes});
    }
  }
  return files;
}

std::uint64_t WriteBuffer::lost_writes() const {
  MutexLock lock(mutex_);
  return lost_writes_;
}

bool WriteBuffer::Conflict(const Chunk& earlier, const Chunk& later) {
  // Writes move the times, whichever range they touch; modes and owners do not care for them.
  const bool times = earlier.change.times || later.change.times;
  return times || (earlier.changes > 0 && later.changes > 0) || later.append ||
         Touches(earlier, later.offset, later.bytes.size());
}

bool WriteBuffer::Touches(const Chunk& chunk, std::uint64_t offset, std::uint64_t length) {
  const std::uint64_t end = offset + std::min(length, std::numeric_limits<std::uint64_t>::max() - offset);
  // A change touches no byte, but whoever waits for all of the file waits for it, too.
  const bool everything = offset == 0 && length == std::numeric_limits<std::uint64_t>::max();
  return chunk.append || everything || (chunk.offset < end && offset < chunk.end());
}

Status WriteBuffer::AwaitRoom(const OpContext& ctx, std::uint64_t bytes) {
  OpContext patient = ctx;
  const TimePoint began = Clock::now();
  // A write larger than the whole limit goes alone.
  while (dirty_bytes_ > 0 && (dirty_bytes_ + bytes > options_.dirty_limit || chunks_ >= kMaxChunks)) {
    TRY(WorthWaiting(patient, began));
    progress_.Wait(mutex_, patient);
  }
  return {};
}

Status WriteBuffer::Await(const OpContext& ctx, const Scope& scope) {
  const std::uint64_t serial = next_serial_;
  if (!Busy(scope, serial)) {
    return {};
  }
  // Whoever waits wants the last chunk sent, however small.
  unsigned& waiters = scope.inode ? pending_[*scope.inode].waiters : waiting_for_all_;
  ++waiters;
  work_.NotifyOne();
  OpContext patient = ctx;
  const TimePoint began = Clock::now();
  Status status;
  while (status.ok() && Busy(scope, serial)) {
    status = WorthWaiting(patient, began);
    if (status.ok()) {
      progress_.Wait(mutex_, patient);
    }
  }
  --waiters;
  if (scope.inode && waiters == 0 && pending_[*scope.inode].chunks.empty()) {
    pending_.erase(*scope.inode);
  }
  return status;
}

Status WriteBuffer::WorthWaiting(OpContext& patient, TimePoint began) const {
  Status status = patient.Check();
  if (!status.ok() && status.error().code == Code::kTimedOut && last_progress_ > began &&
      Clock::now() - last_progress_ < options_.write_timeout) {
    patient.deadline = last_progress_ + options_.write_timeout;
    return {};
  }
  return status;
}

bool WriteBuffer::Busy(const Scope& scope, std::uint64_t serial) const {
  if (!scope.inode) {
    return std::ranges::any_of(turns_, [this, serial](InodeNo inode) REQUIRES(mutex_) {
      return pending_.at(inode).chunks.front().serial < serial;  // the oldest of its file
    });
  }
  const auto found = pending_.find(*scope.inode);
  return found != pending_.end() && std::ranges::any_of(found->second.chunks, [&scope, serial](const Chunk& chunk) {
           return chunk.serial < serial && (!scope.handle || chunk.handle == *scope.handle) &&
                  Touches(chunk, scope.offset, scope.length);
         });
}

Status WriteBuffer::TakeError(FileHandle handle) {
  const auto found = handles_.find(handle);
  if (found == handles_.end() || !found->second.error) {
    return {};
  }
  return *std::exchange(found->second.error, std::nullopt);
}

}  // namespace bt
