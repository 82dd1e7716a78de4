#include "transport/file_identity.h"

#include <xxhash.h>

#include <algorithm>

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

void FileIdentity::OnRead(std::uint64_t offset, std::span<const std::byte> bytes) {
  if (bytes.empty()) {
    return;
  }
  const Fingerprint seen = Fingerprint::Of(offset, bytes);
  MutexLock lock(mutex_);
  if (!first_) {
    first_ = seen;
  }
  latest_ = seen;
  size_ = std::max(size_, seen.end());
  possible_size_ = std::max(possible_size_, size_);
}

void FileIdentity::OnWriteSent(std::uint64_t offset, std::uint64_t length) {
  MutexLock lock(mutex_);
  possible_size_ = std::max(possible_size_, offset + length);
  mtime_.reset();
  // What is being written over proves nothing any more.
  for (std::optional<Fingerprint>* print : {&first_, &latest_}) {
    if (*print && offset < (*print)->end() && (*print)->offset < offset + length) {
      print->reset();
    }
  }
}

void FileIdentity::OnWriteAcknowledged(std::uint64_t offset, std::span<const std::byte> bytes) {
  if (bytes.empty()) {
    return;
  }
  const Fingerprint written = Fingerprint::Of(offset, bytes);
  MutexLock lock(mutex_);
  size_ = std::max(size_, written.end());
  possible_size_ = std::max(possible_size_, size_);
  latest_ = written;
}

void FileIdentity::OnTruncated(std::uint64_t size) {
  MutexLock lock(mutex_);
  size_ = size;
  possible_size_ = size;
  mtime_.reset();
  for (std::optional<Fingerprint>* print : {&first_, &latest_}) {
    if (*print && (*print)->end() > size) {
      print->reset();
    }
  }
}

void FileIdentity::OnChanged() {
  MutexLock lock(mutex_);
  mtime_.reset();
}

void FileIdentity::OnSeen(const Attributes& attributes) {
  MutexLock lock(mutex_);
  size_ = attributes.size;
  possible_size_ = std::max(possible_size_, attributes.size);
  mtime_ = attributes.mtime;
}

FileIdentity::Verdict FileIdentity::Judge(const Attributes& now) const {
  using Kind = Verdict::Kind;
  MutexLock lock(mutex_);
  if (!now.is_regular()) {
    return {Kind::kDifferent, {}};
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
      return {Kind::kDifferent, {}};  // cut short or replaced: no way to tell, and old data may be in use
    }
    verdict.fingerprints.push_back(*print);
  }
  if (!verdict.fingerprints.empty()) {
    return verdict;
  }
  // Nothing to compare. Sizes that our own writes explain are taken for the same file, others are not.
  const bool explained = !mtime_ && now.size >= size_ && now.size <= possible_size_;
  return {explained ? Kind::kSame : Kind::kDifferent, {}};
}

std::uint64_t FileIdentity::known_size() const {
  MutexLock lock(mutex_);
  return size_;
}

}  // namespace bt
