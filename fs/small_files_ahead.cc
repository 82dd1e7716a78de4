#include "fs/small_files_ahead.h"

#include <utility>

namespace bt {

namespace {

constexpr std::size_t kThreads = 64;
constexpr std::uint64_t kShareOfMemory = 8;
constexpr std::size_t kMostAtATime = 256;  // wanted or on their way: what comes in vain when the program stops
constexpr std::chrono::seconds kPatience{10};
constexpr std::chrono::seconds kKept{3};  // in memory, for the one who was expected
// What a file takes besides its bytes, and what an empty one takes.
constexpr std::uint64_t kOverhead = 1024;

}  // namespace

struct SmallFilesAhead::Kept {
  Kept(std::shared_ptr<MemoryBudget> budget_of_all, MemoryBudget::Share part, InodePin file, Attributes attributes)
      : budget(std::move(budget_of_all)), share(std::move(part)), pin(std::move(file)), listed(attributes) {}

  const std::shared_ptr<MemoryBudget> budget;  // outlives the share
  const MemoryBudget::Share share;
  const InodePin pin;  // what is known of the file must not go before its bytes
  const Attributes listed;
  std::shared_ptr<FileBlocks> blocks;
};

SmallFilesAhead::SmallFilesAhead(RemoteFs& remote, InodeTable& inodes, const Renames& renames, ReadCache& reads,
                                 std::function<bool()> reachable)
    : remote_(remote),
      inodes_(inodes),
      renames_(renames),
      reads_(reads),
      reachable_(std::move(reachable)),
      budget_(std::make_shared<MemoryBudget>(reads.options().memory / kShareOfMemory)),
      pool_(kThreads) {}

SmallFilesAhead::~SmallFilesAhead() { pool_.Stop(); }

void SmallFilesAhead::Want(InodeNo directory, const std::vector<DirEntry>& files) {
  if (reachable_ && !reachable_()) {
    return;
  }
  const TimePoint now = Clock::now();
  std::size_t wanted = 0;
  for (const DirEntry& file : files) {
    if (wanted == kMostAtATime) {
      return;
    }
    // Bytes of a version that is not settled would be good for one handle alone.
    if (file.attributes.is_regular() && file.attributes.size <= kSmallFile &&
        reads_.clock().Settled(file.attributes.mtime, now)) {
      WantOne(directory, file);
      ++wanted;
    }
  }
}

void SmallFilesAhead::WantOne(InodeNo directory, const DirEntry& file) {
  MemoryBudget::Share share = budget_->Try(file.attributes.size + kOverhead);
  Result<InodePin> pin = inodes_.PinAt(directory, file.name, S_IFREG);
  if (!share || !pin.ok()) {
    return;
  }
  const InodeNo number = pin->inode()->number();
  {
    MutexLock lock(mutex_);
    if (files_.size() >= kMostAtATime || !files_.emplace(number, Stage::kWanted).second) {
      return;
    }
  }
  auto kept = std::make_shared<Kept>(budget_, std::move(share), std::move(pin).value(), file.attributes);
  const bool taken = pool_.Submit([this, kept = std::move(kept)] {
    const InodeNo wanted = kept->pin.inode()->number();
    if (Start(wanted)) {
      Fetch(kept);
      End(wanted);
    }
  });
  if (!taken) {
    End(number);
  }
}

void SmallFilesAhead::Fetch(const std::shared_ptr<Kept>& kept) {
  const std::shared_ptr<Inode> inode = kept->pin.share();
  const OpContext ctx = OpContext::WithTimeout(kPatience, pool_.stopping());
  const Renames::Moment before = renames_.Now();
  const TimePoint asked_at = Clock::now();
  const Result<RemotePath> path = inodes_.PathOf(inode->number());
  const auto epoch = path.ok() ? reads_.epochs().Of(*path) : std::nullopt;
  if (!epoch) {
    return;  // it cannot be told which file is there
  }
  if (inode->MayBeRead(kept->listed) &&
      reads_.Contents(*path, *epoch, {kept->listed.size, kept->listed.mtime}, asked_at) != nullptr) {
    return;  // nothing is missing: whoever opens it looks whether the listing was right
  }
  // An error is for the one who opens the file, and he will ask himself.
  Result<OpenedFile> opened = remote_.Open(ctx, *path, OpenFlags{.read = true}, 0);
  const Result<RemotePath> path_now = inodes_.PathOf(inode->number());
  if (!opened.ok() || !path_now.ok() || *path_now != *path || renames_.Touched(*path, before)) {
    return;
  }
  const Attributes attributes = opened->attributes;
  inode->Saw(asked_at, attributes);
  inode->OpenedForReading(attributes);
  if (attributes.size > kSmallFile || !reads_.clock().Settled(attributes.mtime, asked_at)) {
    return;
  }
  const std::shared_ptr<FileReader> reader = reads_.Open(
      {std::move(opened->file), *path, attributes, asked_at, true, [inode] { return inode->last_change(); }, epoch});
  std::vector<std::byte> bytes(attributes.size);
  if (reader->Read(ctx, {}, 0, bytes).ok()) {
    kept->blocks = reader->blocks();
    reads_.Keep(kept, Clock::now() + kKept);
  }
  reader->Close();
}

bool SmallFilesAhead::Start(InodeNo file) {
  MutexLock lock(mutex_);
  const auto found = files_.find(file);
  if (found == files_.end() || found->second != Stage::kWanted) {
    return false;  // taken out, and perhaps wanted and begun again since
  }
  found->second = Stage::kOnItsWay;
  return true;
}

void SmallFilesAhead::End(InodeNo file) {
  MutexLock lock(mutex_);
  files_.erase(file);
  arrived_.NotifyAll();
}

void SmallFilesAhead::Await(const OpContext& ctx, InodeNo file) {
  MutexLock lock(mutex_);
  const auto wanted = files_.find(file);
  if (wanted == files_.end()) {
    return;
  }
  if (wanted->second == Stage::kWanted) {
    files_.erase(wanted);
    return;
  }
  while (files_.contains(file) && ctx.Check().ok()) {
    arrived_.Wait(mutex_, ctx);
  }
}

}  // namespace bt
