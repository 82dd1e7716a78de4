#include "fs/closed_files.h"

#include <algorithm>
#include <utility>

#include "transport/base/thread_name.h"

namespace bt {

ClosedFiles::ClosedFiles(std::chrono::milliseconds moment, std::function<void(OpenFile&)> end)
    : moment_(moment), end_(std::move(end)), thread_([this](const std::stop_token& stop) {
        SetThreadName("bt-closed");
        Run(stop);
      }) {}

ClosedFiles::~ClosedFiles() {
  thread_.request_stop();
  thread_.join();
  List ended;
  {
    MutexLock lock(mutex_);
    ended.swap(kept_);
  }
  EndAll(ended);
}

void ClosedFiles::Keep(std::shared_ptr<OpenFile> file) {
  List ended;
  {
    MutexLock lock(mutex_);
    kept_.push_back({std::move(file), Clock::now() + moment_});
    if (kept_.size() > kMost) {
      ended.splice(ended.end(), kept_, kept_.begin());
    }
    if (kept_.size() == 1) {
      changed_.NotifyOne();
    }
  }
  EndAll(ended);
}

std::shared_ptr<OpenFile> ClosedFiles::Find(InodeNo inode) const {
  MutexLock lock(mutex_);
  const auto found = std::ranges::find_if(kept_.rbegin(), kept_.rend(),
                                          [inode](const Kept& kept) { return kept.file->inode().number() == inode; });
  return found == kept_.rend() ? nullptr : found->file;
}

void ClosedFiles::End(InodeNo inode) {
  List ended;
  {
    MutexLock lock(mutex_);
    for (auto kept = kept_.begin(); kept != kept_.end();) {
      const auto next = std::next(kept);
      if (kept->file->inode().number() == inode) {
        ended.splice(ended.end(), kept_, kept);
      }
      kept = next;
    }
  }
  EndAll(ended);
}

// Not under the lock: the last share of a file closes it.
void ClosedFiles::EndAll(const List& ended) {
  for (const Kept& kept : ended) {
    end_(*kept.file);
  }
}

void ClosedFiles::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    List ended;
    {
      MutexLock lock(mutex_);
      while (!stop.stop_requested() && (kept_.empty() || kept_.front().until > Clock::now())) {
        changed_.Wait(mutex_, OpContext{kept_.empty() ? TimePoint::max() : kept_.front().until, stop});
      }
      if (!stop.stop_requested()) {
        ended.splice(ended.end(), kept_, kept_.begin());
      }
    }
    EndAll(ended);
  }
}

}  // namespace bt
