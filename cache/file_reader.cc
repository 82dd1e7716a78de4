#include "cache/file_reader.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "cache/read_cache.h"

namespace bt {

namespace {

// A server that takes longer for one FSTAT is as good as gone, where there is something to show.
constexpr std::chrono::seconds kLookPatience{1};
constexpr std::chrono::seconds kBackgroundPatience{30};
// A version seen unchanged for so long has outlived the second of its mtime on the server's clock, which had begun when
// it was first seen; with something on top for clocks that tick coarsely.
constexpr std::chrono::milliseconds kSettling{1100};
constexpr std::chrono::seconds kIdle{2};  // then memory is given back
constexpr int kTries = 3;

FileVersion VersionOf(const Attributes& attributes) { return {attributes.size, attributes.mtime}; }

}  // namespace

FileReader::FileReader(ReadCache& cache, std::uint64_t id, Opened opened)
    : cache_(cache),
      id_(id),
      opened_(std::move(opened)),
      on_server_(opened_.on_server),
      checked_at_(opened_.asked_at),
      first_seen_(Clock::now()),
      epoch_(opened_.epoch) {
  const FileVersion version = VersionOf(opened_.attributes);
  const bool settled = cache_.clock().Settled(version.mtime, opened_.asked_at);
  std::shared_ptr<FileBlocks> blocks = settled && opened_.epoch
                                           ? cache_.Shared(opened_.path, *opened_.epoch, version, nullptr)
                                           : cache_.Private(version);
  MutexLock lock(mutex_);
  settled_ = settled;
  blocks_ = std::move(blocks);
}

FileReader::~FileReader() { closed_.request_stop(); }

FileReader::View FileReader::view() const {
  MutexLock lock(mutex_);
  return {blocks_, checked_at_, settled_};
}

FileReader::Version FileReader::version() const {
  MutexLock lock(mutex_);
  return {blocks_->version(), epoch_, settled_};
}

bool FileReader::Contradicted(const View& view, const Known& known) const {
  return opened_.changed_at() >= view.checked_at ||
         (known.seen && known.seen_at > view.checked_at && *known.seen != view.blocks->version());
}

bool FileReader::Sure(const View& view, const Known& known, TimePoint now) const {
  const Duration freshness = cache_.options().freshness;
  return !Contradicted(view, known) &&
         (now - view.checked_at <= freshness ||
          (known.seen && *known.seen == view.blocks->version() && now - known.seen_at <= freshness));
}

bool FileReader::SoonTooOld(const View& view, const Known& known, TimePoint now) const {
  const bool seen = known.seen && *known.seen == view.blocks->version();
  const TimePoint known_at = seen ? std::max(known.seen_at, view.checked_at) : view.checked_at;
  return now - known_at > cache_.options().freshness / 2;
}

Result<FileReader::View> FileReader::MakeSure(const OpContext& ctx, const Known& known, std::uint64_t offset,
                                              std::size_t length) {
  const TimePoint began = Clock::now();
  for (;;) {
    View view = this->view();
    const TimePoint now = Clock::now();
    // What was asked for since the read began is as good as it gets, however long the answer took.
    if (Sure(view, known, now) || (view.checked_at >= began && !Contradicted(view, known))) {
      if (SoonTooOld(view, known, now)) {
        CheckInBackground();  // before it is too old: who reads on shall not wait for it
      }
      return view;
    }
    const std::uint64_t size = view.blocks->version().size;
    const bool there = !Contradicted(view, known) &&
                       (offset >= size || view.blocks->Has(offset, std::min<std::uint64_t>(length, size - offset)));
    if (there && !known.reachable) {
      return view;
    }
    const OpContext soon{std::min(ctx.deadline, now + kLookPatience), ctx.cancel};
    const Status checked = Check(there ? soon : ctx);
    if (!checked.ok()) {
      if (there && checked.error().code == Code::kTimedOut) {
        return view;
      }
      return checked.error();
    }
  }
}

Result<std::size_t> FileReader::Read(const OpContext& ctx, const Known& known, std::uint64_t offset,
                                     std::span<std::byte> out) {
  for (int tries = 0; tries < kTries; ++tries) {
    const View view = TRY(MakeSure(ctx, known, offset, out.size()));
    const std::uint64_t size = view.blocks->version().size;
    if (offset >= size) {
      return std::size_t{0};
    }
    const std::span<std::byte> part = out.first(std::min<std::uint64_t>(out.size(), size - offset));
    NoteHandedOut(view);
    const std::size_t got = TRY(view.blocks->Read(ctx, source(), offset, part));
    if (got == part.size()) {
      return got;
    }
    // The file is shorter than its version: somebody has cut it.
    TRY(Check(ctx));
    if (this->view().blocks == view.blocks) {
      break;
    }
  }
  // Attributes and contents do not agree for long enough to be believed: as the server has it at this moment.
  unsettled_bytes_ = true;
  return opened_.file->Read(ctx, offset, out);
}

std::optional<SharedPieces> FileReader::ReadFromMemory(const Known& known, std::uint64_t offset, std::size_t length) {
  const View view = this->view();
  const TimePoint now = Clock::now();
  if (!Sure(view, known, now) && (known.reachable || Contradicted(view, known))) {
    return std::nullopt;
  }
  const std::uint64_t size = view.blocks->version().size;
  length = offset >= size ? 0 : std::min<std::uint64_t>(length, size - offset);
  NoteHandedOut(view);
  std::optional<SharedPieces> pieces = view.blocks->ReadFromMemory(source(), offset, length);
  if (!pieces) {
    return std::nullopt;
  }
  if (known.reachable && SoonTooOld(view, known, now)) {
    CheckInBackground();
  }
  return pieces;
}

// Before they are: what is told of later must not be missed.
void FileReader::NoteHandedOut(const View& view) {
  if (!view.settled) {
    unsettled_bytes_ = true;
  }
}

Status FileReader::Check(const OpContext& ctx) {
  const TimePoint wanted_since = Clock::now();
  {
    MutexLock lock(mutex_);
    while (checking_) {
      TRY(ctx.Check());
      checked_.Wait(mutex_, ctx);
    }
    if (checked_at_ >= wanted_since) {
      return {};
    }
    checking_ = true;
    on_server_ = true;
  }
  const TimePoint asked_at = Clock::now();
  const Result<Attributes> attributes = opened_.file->Stat(ctx);
  if (attributes.ok()) {
    Saw(ctx, *attributes, asked_at);
  }
  MutexLock lock(mutex_);
  checking_ = false;
  checked_.NotifyAll();
  if (!attributes.ok()) {
    return attributes.error();
  }
  return {};
}

void FileReader::Saw(const OpContext& ctx, const Attributes& attributes, TimePoint asked_at) {
  const TimePoint changed_at = opened_.changed_at();
  const FileVersion version = VersionOf(attributes);
  bool settled = cache_.clock().Settled(version.mtime, asked_at);
  std::shared_ptr<FileBlocks> old;
  bool was_settled = false;
  bool same = false;
  TimePoint confirmed_at;
  {
    MutexLock lock(mutex_);
    old = blocks_;
    was_settled = settled_;
    confirmed_at = checked_at_;
    if (changed_at >= confirmed_at) {
      epoch_.reset();
      grew_from_ = nullptr;
    }
    same = old->version() == version && changed_at < checked_at_;
    settled = settled || (same && (settled_ || asked_at - first_seen_ >= kSettling));
  }
  if (same && settled == was_settled) {
    if (settled) {
      old->Confirmed(id_, asked_at);
    }
    MutexLock lock(mutex_);
    checked_at_ = asked_at;
    return;
  }
  if (!same) {
    old->Doubt(id_, confirmed_at);
  }
  std::shared_ptr<FileBlocks> blocks = settled ? Settle(ctx, version) : cache_.Private(version);
  MutexLock lock(mutex_);
  if (!same) {
    first_seen_ = Clock::now();
    if (was_settled && epoch_) {
      grew_from_ = old;
    }
    if (grew_from_ != nullptr && grew_from_->version().size >= version.size) {
      grew_from_ = nullptr;
    }
  }
  blocks_ = std::move(blocks);
  settled_ = settled;
  checked_at_ = asked_at;
  lock.Unlock();
  // From now on the present bytes are handed out, so who drops what he has gets those.
  if (settled && unsettled_bytes_.exchange(false) && opened_.outlived) {
    opened_.outlived(version.mtime);
  }
}

// A file that grew keeps what is on disk of it, when its old end is still what it was: logs and event files cost their
// new bytes only.
std::shared_ptr<FileBlocks> FileReader::Settle(const OpContext& ctx, const FileVersion& version) {
  std::shared_ptr<FileBlocks> shorter;
  std::optional<PathEpochs::Epoch> epoch;
  {
    MutexLock lock(mutex_);
    epoch = epoch_;
    shorter = std::exchange(grew_from_, nullptr);
  }
  if (!epoch) {
    return cache_.Private(version);
  }
  if (shorter == nullptr || shorter->disk() == nullptr || shorter->version().size == 0 ||
      shorter->version().size >= version.size) {
    return cache_.Shared(opened_.path, *epoch, version, nullptr);
  }
  const std::uint64_t begin = (shorter->version().size - 1) / kGranule * kGranule;
  std::vector<std::byte> before(shorter->version().size - begin);
  std::vector<std::byte> now(before.size());
  bool grew = false;
  if (shorter->disk()->Read(begin, before) == before.size()) {
    const Result<std::size_t> got = opened_.file->Read(ctx, begin, now);
    grew = got.ok() && *got == now.size() && before == now;
  }
  return cache_.Shared(opened_.path, *epoch, version, grew ? shorter.get() : nullptr);
}

void FileReader::CheckInBackground() {
  {
    MutexLock lock(mutex_);
    if (checking_ || check_due_) {
      return;
    }
    check_due_ = true;
  }
  const bool taken = cache_.InBackground([self = shared_from_this()](const std::stop_token& stop) {
    // Without an answer things stay as they are, and whoever reads asks again.
    static_cast<void>(self->Check(OpContext::WithTimeout(kBackgroundPatience, stop)));
    MutexLock lock(self->mutex_);
    self->check_due_ = false;
  });
  if (!taken) {
    MutexLock lock(mutex_);
    check_due_ = false;
  }
}

void FileReader::Close() {
  closed_.request_stop();
  if (view().blocks->Unconfirmed(id_)) {
    // One of its own: a look that is on its way was asked for too early for what came last.
    cache_.InBackground([self = shared_from_this()](const std::stop_token& stop) {
      static_cast<void>(self->Check(OpContext::WithTimeout(kBackgroundPatience, stop)));
    });
  }
}

void FileReader::Tick(TimePoint now) {
  const View view = this->view();
  view.blocks->DropUnlessReadSince(now - kIdle);
  bool due = false;
  {
    MutexLock lock(mutex_);
    due = !on_server_ && now - first_seen_ > cache_.options().freshness;
  }
  const bool unsettled = !view.settled && unsettled_bytes_;
  if (due || (now - view.checked_at > cache_.options().freshness / 2 && (unsettled || view.blocks->Unconfirmed(id_)))) {
    CheckInBackground();
  }
}

}  // namespace bt
