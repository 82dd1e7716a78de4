// The sending half of WriteBuffer: which chunk goes next, and what comes of it.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "fs/write_buffer.h"
#include "transport/base/thread_name.h"
#include "transport/base/units.h"

namespace bt {

namespace {

constexpr unsigned kSendWindow = 64;  // chunks of one file among which the next is searched
// A link that is slower than this counts as dead: what goes along with a write may take that long on top.
constexpr std::uint64_t kSlowestLink = 64_KiB;  // bytes per second

}  // namespace

WriteBuffer::WriteBuffer(const InodeTable& inodes, const WriteBufferOptions& options)
    : inodes_(inodes), options_(options) {
  const unsigned threads = std::max(options.threads, 1U);
  threads_.reserve(threads);
  for (unsigned i = 0; i < threads; ++i) {
    threads_.emplace_back([this] {
      SetThreadName("bt-write");
      Run();
    });
  }
}

WriteBuffer::~WriteBuffer() {
  stop_.request_stop();
  threads_.clear();  // joins
  for (const UnwrittenFile& file : unwritten_files()) {
    spdlog::error("{}: {} were never sent, because the mount ended", file.path, FormatByteSize(file.bytes));
  }
  for (const Error& error : UncollectedErrors()) {
    spdlog::error("lost write, the mount ended before the error could be reported: {}", Describe(error));
  }
}

std::vector<Error> WriteBuffer::UncollectedErrors() const {
  std::vector<Error> errors;
  MutexLock lock(mutex_);
  for (const auto& [handle, writes] : handles_) {
    if (writes.error) {
      errors.push_back(*writes.error);
    }
  }
  return errors;
}

std::optional<WriteBuffer::Chunks::iterator> WriteBuffer::Sendable(PendingFile& pending, TimePoint now,
                                                                   TimePoint& due) const {
  Chunks& chunks = pending.chunks;
  unsigned searched = 0;
  for (auto chunk = chunks.begin(); chunk != chunks.end() && searched < kSendWindow; ++chunk, ++searched) {
    if (chunk->on_its_way ||
        std::any_of(chunks.begin(), chunk, [&chunk](const Chunk& earlier) { return Conflict(earlier, *chunk); })) {
      continue;
    }
    const bool may_grow = std::next(chunk) == chunks.end() && chunk->bytes.size() < kWorthSending;
    if (may_grow && pending.waiters == 0 && waiting_for_all_ == 0 && now < chunk->send_at) {
      due = std::min(due, chunk->send_at);
      continue;
    }
    return chunk;
  }
  return std::nullopt;
}

std::optional<WriteBuffer::Job> WriteBuffer::NextJob(TimePoint& due) {
  const TimePoint now = Clock::now();
  for (auto turn = turns_.begin(); turn != turns_.end(); ++turn) {
    PendingFile& pending = pending_.at(*turn);
    const std::optional<Chunks::iterator> chunk = Sendable(pending, now, due);
    if (!chunk) {
      continue;
    }
    (*chunk)->on_its_way = true;
    ++pending.on_their_way;
    bytes_on_their_way_ += (*chunk)->bytes.size();
    const auto patience = options_.write_timeout + std::chrono::milliseconds(1000 * bytes_on_their_way_ / kSlowestLink);
    Job job{*turn, *chunk,
            options_.write_timeout.count() == 0 ? OpContext{TimePoint::max(), stop_.get_token()}
                                                : OpContext::WithTimeout(patience, stop_.get_token()),
            now, pending.chunks.size() == 1 && pending.waiters > 0};
    turns_.splice(turns_.end(), turns_, turn);
    return job;
  }
  return std::nullopt;
}

void WriteBuffer::Run() {
  for (;;) {
    std::optional<Job> job;
    {
      MutexLock lock(mutex_);
      for (;;) {
        TimePoint due = TimePoint::max();
        if (stop_.stop_requested() || (job = NextJob(due))) {
          break;
        }
        work_.Wait(mutex_, OpContext{.deadline = due, .cancel = stop_.get_token()});
      }
      if (!job) {
        return;
      }
      work_.NotifyOne();  // there may be more to send than one thread was woken for
    }
    Finish(*job, Send(*job));
  }
}

WriteBuffer::Sent WriteBuffer::Send(const Job& job) {
  const Chunk& chunk = *job.chunk;
  RemoteFile& remote = chunk.file->remote();
  if (chunk.changes == 0 && !job.look) {
    return {remote.Write(job.ctx, chunk.offset, chunk.bytes), {}};
  }
  Result<std::optional<Attributes>> done = remote.WriteAndChange(job.ctx, chunk.offset, chunk.bytes, chunk.change);
  return done.ok() ? Sent{{}, *done} : Sent{std::move(done).error(), {}};
}

void WriteBuffer::Finish(const Job& job, Sent sent) {
  std::optional<Error> error;
  if (!sent.status.ok()) {
    const Chunk& chunk = *job.chunk;
    const std::string name = inodes_.Describe(job.inode);
    error = std::move(sent.status)
                .error()
                .Within(chunk.bytes.empty() ? "change " + name
                                            : fmt::format("write {} @{}+{}", name, chunk.offset, chunk.bytes.size()));
  }
  // Given back before anyone hears of the end, and not under the lock: the last share closes the file.
  const std::shared_ptr<Inode> inode = job.chunk->file->share_inode();
  job.chunk->file.reset();
  job.chunk->until_done.clear();
  std::optional<Error> lost;
  Chunks done;  // freed after the lock
  {
    MutexLock lock(mutex_);
    const auto pending = pending_.find(job.inode);
    done.splice(done.end(), pending->second.chunks, job.chunk);
    const Chunk& chunk = done.front();
    --pending->second.on_their_way;
    if (pending->second.chunks.empty()) {
      turns_.remove(job.inode);
      if (pending->second.waiters == 0) {
        pending_.erase(pending);
      }
    }
    dirty_bytes_ -= chunk.bytes.size();
    bytes_on_their_way_ -= chunk.bytes.size();
    --chunks_;
    inode->WritesDone(chunk.writes + chunk.changes, chunk.changes, !error, sent.seen, job.sent_at);
    if (!error) {
      last_progress_ = Clock::now();
    }
    const auto writes = handles_.find(chunk.handle);
    --writes->second.chunks;
    if (error && writes->second.released) {
      lost = std::move(error);
      ++lost_writes_;
      lost_error_ = lost_error_ ? lost_error_ : lost;
    } else if (error && !writes->second.error) {
      writes->second.error = std::move(error);
    }
    if (writes->second.chunks == 0 && (writes->second.released || !writes->second.error)) {
      handles_.erase(writes);
    }
    progress_.NotifyAll();
  }
  if (lost) {
    spdlog::error("lost write, the file was closed before it was sent: {}", Describe(*lost));
  }
}

}  // namespace bt
