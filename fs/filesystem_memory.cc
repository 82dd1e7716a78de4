// What memory knows of names and attributes, and how changes made from here keep it true.
#include <algorithm>
#include <utility>

#include "fs/filesystem.h"
#include "fs/filesystem_state.h"

namespace bt {

namespace {

using Age = DirectoryCache::Age;
using Answer = DirectoryCache::Answer;

std::chrono::milliseconds Until(TimePoint end) {
  return std::max(std::chrono::floor<std::chrono::milliseconds>(end - Clock::now()), std::chrono::milliseconds(0));
}

}  // namespace

std::optional<Entry> Filesystem::State::EntryFromMemory(InodeNo parent, const Name& name, Age age) {
  const InodeTable::Glimpse before = inodes.Glance(parent, name);
  const TimePoint now = Clock::now();
  const Answer answer = listings.Find(parent, name.text(), now, age);
  mode_t type = answer.type;
  switch (answer.kind) {
    case Answer::Kind::kAbsent:
      if (answer.until <= now) {
        return std::nullopt;  // that a name does not exist must be known, not remembered
      }
      inodes.GoneUnlessSeenSince(parent, name, before);
      return Entry{InodeNo{0}, {}, Until(answer.until)};
    case Answer::Kind::kUnknown:
      if (age == Age::kFresh || before.inode == nullptr) {
        return std::nullopt;
      }
      type = before.inode->type();
      break;
    case Answer::Kind::kThere:
      if (type == 0 || (before.inode != nullptr && before.inode->type() != type)) {
        return std::nullopt;
      }
  }
  const Result<std::shared_ptr<Inode>> found = inodes.LookUp(parent, name, type);
  if (!found.ok()) {
    return std::nullopt;
  }
  Inode& inode = **found;
  if (answer.attributes) {
    inode.Saw(answer.asked_at, *answer.attributes);
  }
  const std::optional<Inode::Sight> sight =
      age == Age::kAny ? inode.LastKnown() : inode.LastSeen(AttributeLifetime(inode));
  // A name that was taken away from here since the look into the listing must not come back through it.
  if (!sight || (answer.kind == Answer::Kind::kThere && listings.VersionOf(parent) != answer.version)) {
    inodes.Forget(inode.number(), 1);
    return std::nullopt;
  }
  Entry entry = MakeEntry(inode, sight->attributes, 0, sight->asked_at);
  entry.ttl = age == Age::kAny ? options.attribute_ttl : std::min(entry.ttl, Until(answer.until));
  return entry;
}

Result<Attributes> Filesystem::State::LookUpAlong(const OpContext& ctx, InodeNo parent, const Name& name) {
  const Renames::Moment before = renames.Now();
  const TimePoint asked_at = Clock::now();
  // A directory too big to be kept fresh, or a link too slow for it: whoever goes through it name by name would wait
  // for each.
  std::vector<DirEntry> along;
  if (const auto listing = listings.Known(parent, asked_at, Age::kAny)) {
    along = lookup_order.Used(parent, listing, name.text(), asked_at);
  }
  std::vector<std::optional<Result<Attributes>>> answers(1 + along.size());
  RemotePath asked;
  Result<Attributes> found = OnPath(ctx, parent, [&](const RemotePath& directory) -> Result<Attributes> {
    asked = directory;
    if (along.empty()) {
      return remote.Lstat(ctx, directory / name);
    }
    std::vector<RemotePath> paths{directory / name};
    for (const DirEntry& entry : along) {
      paths.push_back(directory / entry.name);
    }
    TRY(remote.LstatMany(ctx, paths,
                         [&](std::size_t index, Result<Attributes> answer) { answers[index] = std::move(answer); }));
    return *answers.front();
  });
  answers.front() = found;
  const bool elsewhere = renames.Touched(asked, before);
  for (std::size_t i = 0; i < answers.size() && !elsewhere; ++i) {
    if (!answers[i]) {
      continue;
    }
    if (answers[i]->ok()) {
      listings.Seen(parent, i == 0 ? name : along[i - 1].name, answers[i]->value(), asked_at);
    } else if (answers[i]->error().code == Code::kNotFound) {
      listings.Seen(parent, i == 0 ? name : along[i - 1].name, std::nullopt, asked_at);
    }
  }
  return found;
}

std::optional<Inode::Sight> Filesystem::State::SightFromMemory(Inode& inode) {
  if (const auto place = inodes.PlaceOf(inode.number())) {
    const Answer answer = listings.Find(place->parent, place->name.text(), Clock::now(), Age::kFresh);
    if (answer.kind == Answer::Kind::kAbsent) {
      return std::nullopt;  // the server is to say what became of it
    }
    if (answer.attributes && answer.type == inode.type()) {
      inode.Saw(answer.asked_at, *answer.attributes);
    }
  } else if (inode.number() != kRootInode && inode.AnyOpenFile(/*writable=*/false) == nullptr) {
    return std::nullopt;  // its name is gone, and nothing else leads to it
  }
  return inode.LastSeen(AttributeLifetime(inode));
}

std::optional<OpenDir::Snapshot> Filesystem::State::SnapshotFromMemory(InodeNo directory) {
  return listings.Take(directory, Clock::now(), reachable() ? Age::kFresh : Age::kAny);
}

Result<OpenDir::Snapshot> Filesystem::State::TakeSnapshot(const OpContext& ctx, InodeNo directory) {
  using Purpose = DirectoryCache::Purpose;
  listings.AwaitArrival(ctx, directory);
  if (auto known = SnapshotFromMemory(directory)) {
    return *std::move(known);
  }
  InodePin pin = TRY(inodes.Pin(directory));
  const TimePoint asked_at = Clock::now();
  listings.Asking(std::move(pin), asked_at, Purpose::kDemand);
  Result<std::vector<DirEntry>> entries =
      AskOnPath(ctx, directory, [&](const RemotePath& path) { return remote.ReadDirectory(ctx, path); });
  if (!entries.ok()) {
    listings.Failed(directory);
    return std::move(entries).error();
  }
  std::erase_if(*entries, [this](const DirEntry& entry) { return reserved(entry.name.text()); });
  const auto listing = std::make_shared<const Listing>(asked_at, std::move(entries).value());
  listings.Arrived(directory, listing, Clock::now(), Purpose::kDemand);
  ahead.Listed(directory);
  // Names may have been changed from here while it was on its way.
  auto merged = listings.Take(directory, Clock::now(), Age::kAny);
  if (merged && merged->listing->asked_at() >= asked_at) {
    return *std::move(merged);
  }
  return OpenDir::Snapshot{listing, asked_at};
}

void Filesystem::State::NoteOpened(InodeNo inode) {
  const auto place = options.attribute_ttl.count() > 0 ? inodes.PlaceOf(inode) : std::nullopt;
  const TimePoint now = Clock::now();
  // However old: that a file is likely to be there is enough.
  const auto listing = place ? listings.Known(place->parent, now, Age::kAny) : nullptr;
  if (listing == nullptr) {
    return;
  }
  small_files.Want(place->parent, read_order.Used(place->parent, listing, place->name.text(), now));
  for (const TreeOrder::Next& next : tree_order.Used(place->parent, now)) {
    small_files.Want(next.directory, next.listing->entries());
  }
}

namespace {

void NoteNamesChanged(InodeTable& inodes, InodeNo directory) {
  const Result<InodePin> pin = inodes.Pin(directory);
  if (pin.ok()) {
    pin->inode()->NamesChanged();
  }
}

}  // namespace

// Listings are told first in all of these: who looks into them and then finds the inode table changed asks again.

Result<std::shared_ptr<Inode>> Filesystem::State::Made(InodeNo parent, const Name& name, mode_t type) {
  listings.Changed(parent, name, type, Clock::now());
  NoteNamesChanged(inodes, parent);
  return inodes.Made(parent, name, type);
}

void Filesystem::State::Gone(InodeNo parent, const Name& name) {
  const InodeTable::Glimpse known = inodes.Glance(parent, name);
  listings.Changed(parent, name, std::nullopt, Clock::now());
  if (known.inode != nullptr && known.inode->is_directory()) {
    listings.Drop(known.inode->number());
  }
  NoteNamesChanged(inodes, parent);
  inodes.Gone(parent, name);
}

void Filesystem::State::Moved(InodeNo parent, const Name& name, InodeNo new_parent, const Name& new_name) {
  const TimePoint now = Clock::now();
  const InodeTable::Glimpse moved = inodes.Glance(parent, name);
  const InodeTable::Glimpse replaced = inodes.Glance(new_parent, new_name);
  listings.Changed(parent, name, std::nullopt, now);
  if (moved.inode != nullptr) {
    listings.Changed(new_parent, new_name, moved.inode->type(), now);
  } else {
    listings.Doubt(new_parent, now);
  }
  if (replaced.inode != nullptr && replaced.inode != moved.inode && replaced.inode->is_directory()) {
    listings.Drop(replaced.inode->number());
  }
  NoteNamesChanged(inodes, parent);
  NoteNamesChanged(inodes, new_parent);
  inodes.Moved(parent, name, new_parent, new_name);
}

void Filesystem::State::NamesInDoubt(InodeNo directory, const Error& error) {
  if (error.fate != Fate::kNotSent) {
    listings.Doubt(directory, Clock::now());
  }
}

}  // namespace bt
