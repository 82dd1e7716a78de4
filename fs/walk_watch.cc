#include "fs/walk_watch.h"

#include <algorithm>

namespace bt {

namespace {

constexpr std::chrono::seconds kMemory{2};  // a walk makes many steps in this time, a person at most one
constexpr std::size_t kVisitsRemembered = 32;
constexpr std::size_t kWindowOfOpened = 64;    // who opens one directory after the other reads them all
constexpr std::size_t kWindowOfLookedUp = 16;  // who looks up names here and there may just be about
constexpr std::size_t kLargestWindow = 4096;
constexpr std::size_t kWindowPerUse = 8;

}  // namespace

bool WalkWatch::Visited(InodeNo directory, std::optional<InodeNo> parent, Look look, TimePoint now) {
  while (!recent_.empty() && (recent_.size() >= kVisitsRemembered || now - recent_.front().at >= kMemory)) {
    recent_.pop_front();
  }
  const bool step = parent && std::ranges::any_of(recent_, [&](const Visit& before) {
                      const bool beside = before.parent == parent && before.directory != directory;
                      // Looking up the parts of a path goes down, too, and is no walk.
                      const bool below =
                          before.directory == *parent && before.look == Look::kOpened && look == Look::kOpened;
                      return beside || below;
                    });
  const auto same = std::ranges::find(recent_, directory, &Visit::directory);
  if (same != recent_.end()) {
    recent_.erase(same);
  }
  recent_.push_back(Visit{directory, parent, look, now});
  if (step) {
    const std::size_t first = look == Look::kOpened ? kWindowOfOpened : kWindowOfLookedUp;
    window_ = alive(now) ? std::max(window_, std::min(first, window_ * 2)) : first;
    alive_until_ = now + kMemory;
  }
  return step;
}

void WalkWatch::Outcome(std::uint64_t used, std::uint64_t wasted) {
  window_ = std::min<std::size_t>(window_ + (used - used_) * kWindowPerUse, kLargestWindow);
  if (wasted > wasted_) {
    window_ = std::max(window_ / 2, std::min(window_, kWindowOfLookedUp));
  }
  used_ = used;
  wasted_ = wasted;
}

}  // namespace bt
