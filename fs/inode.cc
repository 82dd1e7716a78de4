#include "fs/inode.h"

#include <algorithm>

#include "fs/open_file.h"

namespace bt {

void Inode::Saw(TimePoint asked_at, const Attributes& attributes) {
  MutexLock lock(mutex_);
  if (unacknowledged_ > 0 || LastChange() >= asked_at || (sight_ && sight_->asked_at > asked_at)) {
    return;
  }
  if (sight_ && OutdatedElsewhere() && attributes.mtime == sight_->attributes.mtime) {
    CountOutlived(attributes.mtime);  // changed within the second
  }
  sight_ = Sight{attributes, asked_at};
  behind_write_ = false;
  times_known_ = true;
}

std::optional<Inode::Sight> Inode::LastSeen(Duration max_age) const {
  MutexLock lock(mutex_);
  if (!sight_ || !times_known_ || Clock::now() - sight_->asked_at >= max_age || OutdatedElsewhere()) {
    return std::nullopt;
  }
  return sight_;
}

std::optional<Inode::Sight> Inode::SeenBehindWrite(Duration max_age) const {
  {
    MutexLock lock(mutex_);
    if (!behind_write_) {
      return std::nullopt;
    }
  }
  return LastSeen(max_age);
}

std::optional<Inode::Sight> Inode::LastKnown() const {
  MutexLock lock(mutex_);
  return sight_;
}

std::optional<Inode::Sight> Inode::LastAnswer() const {
  MutexLock lock(mutex_);
  return sight_ && times_known_ && sight_->asked_at > LastChange() ? sight_ : std::nullopt;
}

void Inode::Shown(const FileVersion& version) const {
  MutexLock lock(mutex_);
  shown_ = version;
}

bool Inode::WasShown(const FileVersion& version) const {
  MutexLock lock(mutex_);
  return shown_ == version;
}

void Inode::PagesOutlived(std::int64_t mtime) {
  MutexLock lock(mutex_);
  CountOutlived(mtime);
}

void Inode::CountOutlived(std::int64_t mtime) {
  outlived_count_ = outlived_mtime_ == mtime ? outlived_count_ + 1 : 1;
  outlived_mtime_ = mtime;
}

long Inode::outlived_pages(std::int64_t mtime) const {
  MutexLock lock(mutex_);
  return outlived_mtime_ == mtime ? outlived_count_ : 0;
}

bool Inode::MayKeepPages(const FileReader::Version& version) {
  std::optional<std::pair<FileVersion, PathEpochs::Epoch>> pages;
  if (version.settled && version.epoch) {
    pages.emplace(version.version, *version.epoch);
  }
  MutexLock lock(mutex_);
  const bool same = pages && settled_pages_ == pages;
  settled_pages_ = pages;
  return same;
}

void Inode::OpenedForReading(const Attributes& attributes) {
  MutexLock lock(mutex_);
  readable_ = Access{attributes.mode, attributes.uid, attributes.gid};
}

bool Inode::MayBeRead(const Attributes& attributes) const {
  MutexLock lock(mutex_);
  return readable_ == Access{attributes.mode, attributes.uid, attributes.gid};
}

namespace {

bool HasSetId(mode_t mode) { return (mode & (S_ISUID | S_ISGID)) != 0; }

}  // namespace

bool Inode::ApplyToSight(const AttributeChange& change) {
  // A change of owner may cost the set-id bits, and the set-id bits themselves are the server's to grant: look again.
  if (HasSetId(change.permissions.value_or(0)) || (change.owner && sight_ && HasSetId(sight_->attributes.mode))) {
    sight_.reset();
  }
  if (!sight_) {
    return false;
  }
  Apply(change, sight_->attributes);
  if (change.size) {
    times_known_ = false;
  }
  if (change.times) {
    times_known_ = true;
  }
  return true;
}

std::optional<Inode::Sight> Inode::Changed(const AttributeChange& change, Duration max_age) {
  MutexLock lock(mutex_);
  NoteChange();
  if (!ApplyToSight(change) || !times_known_ || last_change_ - sight_->asked_at >= max_age || OutdatedElsewhere()) {
    return std::nullopt;
  }
  return sight_;
}

std::optional<Inode::Sight> Inode::ChangeAccepted(const AttributeChange& change) {
  MutexLock lock(mutex_);
  ++unacknowledged_;
  NoteChange();
  if (promised_pending_++ == 0) {
    promised_ = {};
  }
  Merge(change, promised_);
  ApplyToSight(change);
  return sight_ && !OutdatedElsewhere() ? sight_ : std::nullopt;
}

void Inode::ApplyPromised(TimePoint asked_at, Attributes& attributes) const {
  MutexLock lock(mutex_);
  if (promised_pending_ > 0 || promised_done_at_ >= asked_at) {
    Apply(promised_, attributes);
  }
}

void Inode::ChangedSomehow() {
  MutexLock lock(mutex_);
  NoteChange();
  sight_.reset();
}

void Inode::NamesChanged() {
  MutexLock lock(mutex_);
  NoteChange();
  times_known_ = false;
}

void Inode::NoteChange() {
  last_change_ = Clock::now();
  if (links_ != nullptr) {
    TellOtherNames();
  }
}

void Inode::TellOtherNames() { links_->Changed(*this, last_change_, unacknowledged_ == 0); }

TimePoint Inode::ChangedElsewhere() const {
  return links_ != nullptr ? links_->ChangedElsewhere(*this) : TimePoint::min();
}

TimePoint Inode::LastChange() const { return std::max(last_change_, ChangedElsewhere()); }

bool Inode::OutdatedElsewhere() const { return ChangedElsewhere() >= sight_->asked_at; }

void Inode::Link(const std::shared_ptr<Inode>& one, const std::shared_ptr<Inode>& other) {
  std::shared_ptr<HardLinks> links;
  {
    MutexLock lock(one->mutex_);
    if (one->links_ == nullptr) {
      one->links_ = std::make_shared<HardLinks>();
      one->links_->Add(one);
    }
    links = one->links_;
    one->TellOtherNames();
  }
  links->Add(other);
  MutexLock lock(other->mutex_);
  other->links_ = std::move(links);
  other->TellOtherNames();
}

std::vector<std::shared_ptr<Inode>> Inode::OtherNames() const {
  MutexLock lock(mutex_);
  const std::shared_ptr<HardLinks> links = links_;
  lock.Unlock();
  return links != nullptr ? links->OtherNames(*this) : std::vector<std::shared_ptr<Inode>>();
}

bool Inode::linked() const {
  MutexLock lock(mutex_);
  return links_ != nullptr;
}

void Inode::ChangedBefore(TimePoint then) {
  MutexLock lock(mutex_);
  last_change_ = std::max(last_change_, then);
}

TimePoint Inode::last_change() const {
  MutexLock lock(mutex_);
  return std::max(LastChange(), made_at_);
}

bool Inode::ChangedSince(TimePoint asked_at) const {
  MutexLock lock(mutex_);
  return unacknowledged_ > 0 || LastChange() >= asked_at || made_at_ >= asked_at;
}

void Inode::WriteAccepted(std::uint64_t end, bool append) {
  MutexLock lock(mutex_);
  ++unacknowledged_;
  NoteChange();
  times_known_ = false;
  promised_.times.reset();  // it moves them on
  if (append) {
    sight_.reset();
  } else if (sight_) {
    sight_->attributes.size = std::max(sight_->attributes.size, end);
  }
}

void Inode::WritesDone(unsigned count, unsigned changes, bool success, const std::optional<Attributes>& seen,
                       TimePoint sent_at) {
  MutexLock lock(mutex_);
  const bool nothing_since = LastChange() <= sent_at;
  unacknowledged_ -= count;
  promised_pending_ -= changes;
  NoteChange();
  if (changes > 0) {
    promised_done_at_ = last_change_;
  }
  if (!success) {
    promised_ = {};
    sight_.reset();
  } else if (seen && nothing_since && unacknowledged_ == 0) {
    sight_ = Sight{*seen, sent_at};
    behind_write_ = true;
    times_known_ = true;
  }
}

void Inode::SetShownLinkSize(std::uint64_t size) {
  MutexLock lock(mutex_);
  shown_link_size_ = size;
}

std::optional<std::uint64_t> Inode::shown_link_size() const {
  MutexLock lock(mutex_);
  return shown_link_size_;
}

void Inode::Opened(const std::shared_ptr<OpenFile>& file) {
  MutexLock lock(mutex_);
  std::erase_if(open_files_, [](const std::weak_ptr<OpenFile>& open) { return open.expired(); });
  open_files_.push_back(file);
}

void Inode::Closed(const std::shared_ptr<OpenFile>& file) {
  MutexLock lock(mutex_);
  std::erase_if(open_files_, [&file](const std::weak_ptr<OpenFile>& open) {
    return !open.owner_before(file) && !file.owner_before(open);
  });
}

std::vector<std::shared_ptr<OpenFile>> Inode::OpenFiles() const {
  // Given back only after the lock: the last share closes the file, and that gives up a pin on this inode.
  std::vector<std::shared_ptr<OpenFile>> open;
  MutexLock lock(mutex_);
  open.reserve(open_files_.size());
  for (const std::weak_ptr<OpenFile>& known : open_files_) {
    if (auto file = known.lock()) {
      open.push_back(std::move(file));
    }
  }
  return open;
}

std::shared_ptr<OpenFile> Inode::AnyOpenFile(bool writable) const {
  for (std::shared_ptr<OpenFile>& file : OpenFiles()) {
    if (file->writable() || !writable) {
      return std::move(file);
    }
  }
  return nullptr;
}

bool Inode::Followed() const {
  return std::ranges::any_of(OpenFiles(), [](const std::shared_ptr<OpenFile>& file) { return file->followed(); });
}

}  // namespace bt
