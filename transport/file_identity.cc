#include "transport/file_identity.h"

#include <xxhash.h>

#include <algorithm>
#include <limits>

#include <fmt/format.h>

namespace bt {

Fingerprint Fingerprint::Of(std::uint64_t offset, std::span<const std::byte> bytes) {
  const std::size_t length = std::min(bytes.size(), kMaxBytes);
  const std::span<const std::byte> tail = bytes.last(length);
  return Fingerprint{offset + bytes.size() - length, length, XXH3_64bits(tail.data(), tail.size())};
}

bool Fingerprint::Matches(std::span<const std::byte> bytes) const {
  return bytes.size() == length && XXH3_64bits(bytes.data(), bytes.size()) == hash;
}

FileIdentity::FileIdentity(const Attributes& opened)
    : size_(opened.size), possible_size_(opened.size), mtime_(opened.mtime) {}

std::uint64_t FileIdentity::changes() const {
  MutexLock lock(mutex_);
  return changes_;
}

void FileIdentity::OnRead(std::uint64_t offset, std::span<const std::byte> bytes, std::uint64_t changes_before) {
  if (bytes.empty()) {
    return;
  }
  const Fingerprint seen = Fingerprint::Of(offset, bytes);
  MutexLock lock(mutex_);
  if (changes_ != changes_before) {
    return;  // nobody can tell which came first
  }
  if (!first_) {
    first_ = seen;
  }
  latest_ = seen;
  size_ = std::max(size_, seen.end());
  possible_size_ = std::max(possible_size_, size_);
}

void FileIdentity::OnWrite(std::uint64_t offset, std::uint64_t length) {
  MutexLock lock(mutex_);
  ++changes_;
  mtime_.reset();
  const std::uint64_t end = offset + std::min(length, std::numeric_limits<std::uint64_t>::max() - offset);
  possible_size_ = std::max(possible_size_, end);
  Forget(offset, end);
}

void FileIdentity::OnWriteAcknowledged(std::uint64_t offset, std::span<const std::byte> bytes) {
  if (bytes.empty()) {
    return;
  }
  const Fingerprint written = Fingerprint::Of(offset, bytes);
  MutexLock lock(mutex_);
  ++changes_;
  size_ = std::max(size_, written.end());
  possible_size_ = std::max(possible_size_, size_);
  Forget(offset, written.end());
  latest_ = written;
}

void FileIdentity::OnResize(std::uint64_t size) {
  MutexLock lock(mutex_);
  ++changes_;
  mtime_.reset();
  size_ = std::min(size_, size);
  possible_size_ = std::max(possible_size_, size);
  Forget(size, std::numeric_limits<std::uint64_t>::max());
}

void FileIdentity::OnResized(std::uint64_t size) {
  MutexLock lock(mutex_);
  ++changes_;
  size_ = size;
  possible_size_ = size;
  // A read that was sent after OnResize() may have seen the file as it was before.
  Forget(size, std::numeric_limits<std::uint64_t>::max());
}

void FileIdentity::OnReaches(std::uint64_t end) {
  MutexLock lock(mutex_);
  size_ = std::max(size_, end);
  possible_size_ = std::max(possible_size_, size_);
}

void FileIdentity::OnOverlap() {
  OnAppend();
  MutexLock lock(mutex_);
  size_ = 0;
}

void FileIdentity::OnAppend() {
  MutexLock lock(mutex_);
  ++changes_;
  appended_ = true;
  mtime_.reset();
}

void FileIdentity::OnAppended(std::uint64_t end, std::uint64_t length) {
  MutexLock lock(mutex_);
  ++changes_;
  size_ = std::max(size_, end + length);
  possible_size_ = std::max(possible_size_, size_);
}

void FileIdentity::OnTouch() {
  MutexLock lock(mutex_);
  ++changes_;
  mtime_.reset();
}

void FileIdentity::Forget(std::uint64_t begin, std::uint64_t end) {
  for (std::optional<Fingerprint>* print : {&first_, &latest_}) {
    if (*print && begin < (*print)->end() && (*print)->offset < end) {
      print->reset();
    }
  }
}

FileIdentity::Verdict FileIdentity::Judge(const Attributes& now) const {
  using Kind = Verdict::Kind;
  MutexLock lock(mutex_);
  if (!now.is_regular()) {
    return {Kind::kDifferent, {}, "it is no longer a regular file"};
  }
  if (mtime_ && now.mtime == *mtime_ && now.size == size_) {
    return {Kind::kSame, {}};
  }
  // An empty file that nothing was read from cannot have contradicted itself by growing.
  if (size_ == 0 && !latest_) {
    return {Kind::kSame, {}};
  }
  Verdict verdict{Kind::kCompare, {}};
  for (const std::optional<Fingerprint>& print : {first_, latest_}) {
    if (!print) {
      continue;
    }
    if (print->end() > now.size) {
      // Cut short or replaced: no way to tell, and old data may be in use.
      return {Kind::kDifferent, {}, fmt::format("{} bytes are left of {} that were seen", now.size, print->end())};
    }
    verdict.fingerprints.push_back(*print);
  }
  if (!verdict.fingerprints.empty()) {
    return verdict;
  }
  // Nothing to compare. Sizes that our own writes explain are taken for the same file, others are not. What we append
  // to, others append to as well.
  const bool explained = !mtime_ && now.size >= size_ && (appended_ || now.size <= possible_size_);
  if (explained) {
    return {Kind::kSame, {}};
  }
  return {Kind::kDifferent,
          {},
          mtime_ ? fmt::format("it had {} bytes and has {}, or another time", size_, now.size)
                 : fmt::format("its {} bytes are not the {} to {} that it can have from here", now.size, size_,
                               possible_size_)};
}

std::uint64_t FileIdentity::known_size() const {
  MutexLock lock(mutex_);
  return size_;
}

}  // namespace bt
