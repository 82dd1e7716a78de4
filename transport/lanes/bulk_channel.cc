#include "transport/lanes/bulk_channel.h"

#include <utility>

namespace bt::lanes {
namespace {

constexpr std::uint64_t kFirstAllowance = std::uint64_t{1} << 20U;

}  // namespace

BulkChannel::BulkChannel(std::shared_ptr<RemoteFs> fs, std::uint64_t number, bool first)
    : fs_(std::move(fs)), number_(number), first_(first), last_used_(Clock::now()) {}

BulkChannel::Use::~Use() {
  if (channel_ != nullptr) {
    MutexLock lock(channel_->mutex_);
    channel_->under_way_ -= bytes_;
    channel_->moved_ += bytes_;
    --channel_->uses_;
    channel_->last_used_ = Clock::now();
  }
}

std::optional<BulkChannel::Use> BulkChannel::Begin(std::size_t bytes) {
  MutexLock lock(mutex_);
  if (closed_) {
    return std::nullopt;
  }
  under_way_ += bytes;
  last_used_ = Clock::now();
  if (uses_++ == 0) {
    busy_since_ = last_used_;
  }
  return std::optional<Use>(std::in_place, shared_from_this(), bytes);
}

void BulkChannel::Identify(std::optional<ServerProcess> server) {
  MutexLock lock(mutex_);
  server_ = std::move(server);
  identified_ = true;
}

bool BulkChannel::identified() const {
  MutexLock lock(mutex_);
  return identified_;
}

std::optional<ServerProcess> BulkChannel::server() const {
  MutexLock lock(mutex_);
  return server_;
}

void BulkChannel::NoteWrite() {
  MutexLock lock(mutex_);
  written_ = true;
}

void BulkChannel::NoteLostWrite() {
  MutexLock lock(mutex_);
  write_lost_ = true;
}

bool BulkChannel::may_still_write() const {
  MutexLock lock(mutex_);
  return write_lost_ || (written_ && uses_ > 0);
}

std::uint64_t BulkChannel::under_way() const {
  MutexLock lock(mutex_);
  return under_way_;
}

std::uint64_t BulkChannel::allowance() const {
  MutexLock lock(mutex_);
  return kFirstAllowance + moved_;
}

TimePoint BulkChannel::last_used() const {
  MutexLock lock(mutex_);
  return last_used_;
}

std::optional<TimePoint> BulkChannel::busy_since() const {
  MutexLock lock(mutex_);
  return uses_ == 0 ? std::nullopt : std::optional(busy_since_);
}

bool BulkChannel::closed() const {
  MutexLock lock(mutex_);
  return closed_;
}

void BulkChannel::Close() {
  Handles let_go;  // without the lock
  MutexLock lock(mutex_);
  closed_ = true;
  let_go.swap(handles_);
  lock.Unlock();
}

bool BulkChannel::CloseUnlessUsedSince(TimePoint since) {
  Handles let_go;
  MutexLock lock(mutex_);
  if (!closed_ && uses_ == 0 && last_used_ < since) {
    closed_ = true;
    let_go.swap(handles_);
  }
  const bool closed = closed_;
  lock.Unlock();
  return closed;
}

bool BulkChannel::Keep(const void* owner, std::shared_ptr<RemoteFile> handle) {
  MutexLock lock(mutex_);
  if (closed_) {
    lock.Unlock();
    return false;
  }
  std::swap(handles_[owner], handle);
  lock.Unlock();  // the one before, if any, goes without the lock
  return true;
}

std::shared_ptr<RemoteFile> BulkChannel::handle(const void* owner) const {
  MutexLock lock(mutex_);
  const auto found = handles_.find(owner);
  return found == handles_.end() ? nullptr : found->second;
}

void BulkChannel::LetGo(const void* owner) {
  std::shared_ptr<RemoteFile> let_go;
  MutexLock lock(mutex_);
  const auto found = handles_.find(owner);
  if (found != handles_.end()) {
    let_go = std::move(found->second);
    handles_.erase(found);
  }
  lock.Unlock();
}

}  // namespace bt::lanes
