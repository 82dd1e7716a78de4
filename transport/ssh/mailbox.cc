#include "transport/ssh/mailbox.h"

#include <cassert>
#include <utility>

namespace bt::ssh {

void Mailbox::Start(sftp::MessageChannel::Receiver& receiver) {
  const MutexLock lock(mutex_);
  assert(receiver_ == nullptr);
  receiver_ = &receiver;
}

void Mailbox::Send(Message message) {
  const MutexLock lock(mutex_);
  if (!closed_) {
    messages_.push_back(std::move(message));
  }
}

void Mailbox::Leave() {
  const MutexLock lock(mutex_);
  left_ = true;
}

Status Mailbox::WaitUntilOpen(const OpContext& ctx) {
  const MutexLock lock(mutex_);
  while (!opened_) {
    const Status still = ctx.Check();
    if (!still.ok()) {
      return still;
    }
    changed_.Wait(mutex_, ctx);
  }
  return *opened_;
}

void Mailbox::WaitUntilFinished() {
  const MutexLock lock(mutex_);
  while (!finished_) {
    changed_.Wait(mutex_);
  }
}

Mailbox::Contents Mailbox::Take() {
  const MutexLock lock(mutex_);
  return Contents{std::exchange(messages_, {}), receiver_, left_};
}

void Mailbox::SetOpened(Status result) {
  const MutexLock lock(mutex_);
  opened_ = std::move(result);
  changed_.NotifyAll();
}

void Mailbox::Close() {
  const MutexLock lock(mutex_);
  closed_ = true;
  messages_.clear();
}

void Mailbox::Finish() {
  const MutexLock lock(mutex_);
  finished_ = true;
  changed_.NotifyAll();
}

}  // namespace bt::ssh
