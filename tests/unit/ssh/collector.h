// A channel's receiver that keeps what it gets, for tests to wait on.
//
// Threading: any thread.
#pragma once

#include <optional>
#include <string>

#include "transport/base/sync.h"
#include "transport/sftp/message_channel.h"

namespace bt::test {

class Collector final : public sftp::MessageChannel::Receiver {
 public:
  void OnBytes(std::span<const std::byte> bytes) override {
    const MutexLock lock(mutex_);
    late_ = late_ || closed_.has_value();
    count_ += bytes.size();
    if (keep_) {
      text_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
    changed_.NotifyAll();
  }
  void OnClosed(const Error& why, std::uint64_t messages_started) override {
    const MutexLock lock(mutex_);
    late_ = late_ || closed_.has_value();
    closed_ = why;
    started_ = messages_started;
    changed_.NotifyAll();
  }

  void CountOnly() {
    const MutexLock lock(mutex_);
    keep_ = false;
  }

  // False when `count` bytes did not come in time.
  bool WaitForBytes(std::size_t count, const OpContext& ctx) {
    const MutexLock lock(mutex_);
    while (count_ < count && !closed_ && ctx.Check().ok()) {
      changed_.Wait(mutex_, ctx);
    }
    return count_ >= count;
  }
  std::optional<Error> WaitForClose(const OpContext& ctx) {
    const MutexLock lock(mutex_);
    while (!closed_ && ctx.Check().ok()) {
      changed_.Wait(mutex_, ctx);
    }
    return closed_;
  }

  std::string text() {
    const MutexLock lock(mutex_);
    return text_;
  }
  std::size_t count() {
    const MutexLock lock(mutex_);
    return count_;
  }
  std::uint64_t started() {
    const MutexLock lock(mutex_);
    return started_;
  }
  bool called_after_close() {
    const MutexLock lock(mutex_);
    return late_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::string text_ GUARDED_BY(mutex_);
  std::size_t count_ GUARDED_BY(mutex_) = 0;
  std::optional<Error> closed_ GUARDED_BY(mutex_);
  std::uint64_t started_ GUARDED_BY(mutex_) = 0;
  bool late_ GUARDED_BY(mutex_) = false;
  bool keep_ GUARDED_BY(mutex_) = true;
};

inline std::vector<std::byte> Bytes(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

}  // namespace bt::test
