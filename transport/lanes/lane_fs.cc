#include "transport/lanes/lane_fs.h"

#include <algorithm>
#include <utility>

namespace bt::lanes {

void OpenFiles::Add(std::weak_ptr<Stripe> stripe) {
  MutexLock lock(mutex_);
  std::erase_if(stripes_, [](const auto& known) { return known.expired(); });
  stripes_.push_back(std::move(stripe));
}

void OpenFiles::NameChanged(const RemotePath& path) {
  std::vector<std::shared_ptr<Stripe>> open;  // let go without the lock
  MutexLock lock(mutex_);
  for (const auto& known : stripes_) {
    if (auto stripe = known.lock()) {
      open.push_back(std::move(stripe));
    }
  }
  lock.Unlock();
  for (const auto& stripe : open) {
    if (path.Contains(stripe->path())) {
      stripe->NameChanged();
    }
  }
}

Status LaneFs::RemoveFile(const OpContext& ctx, const RemotePath& path) {
  open_files_.NameChanged(path);  // before: whatever is opened by this name from now on may be another file
  return below_.RemoveFile(ctx, path);
}

Status LaneFs::Rename(const OpContext& ctx, const RemotePath& from, const RemotePath& to, RenameMode mode) {
  open_files_.NameChanged(from);
  open_files_.NameChanged(to);
  return below_.Rename(ctx, from, to, mode);
}

Result<OpenedFile> LaneFs::Open(const OpContext& ctx, const RemotePath& path, const OpenFlags& flags,
                                std::uint32_t permissions) {
  OpenedFile opened = TRY(below_.Open(ctx, path, flags, permissions));
  const Attributes attributes = opened.attributes;
  auto file = std::make_unique<LaneFile>(pool_, path, flags, std::move(opened));
  for (const auto& stripe : {file->reading(), file->writing()}) {
    if (stripe != nullptr) {
      open_files_.Add(stripe);
    }
  }
  return OpenedFile{std::move(file), attributes};
}

Result<std::uint64_t> LaneFs::CopyRange(const OpContext& ctx, RemoteFile& from, std::uint64_t from_offset,
                                        RemoteFile& to, std::uint64_t to_offset, std::uint64_t length) {
  // Every file that this object hands out is one of its own kind.
  return below_.CopyRange(ctx, static_cast<LaneFile&>(from).here(), from_offset, static_cast<LaneFile&>(to).here(),
                          to_offset, length);
}

}  // namespace bt::lanes
