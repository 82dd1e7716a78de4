// The files of one session over its lanes: a RemoteFs that passes everything to the interactive lane and hands out
// files whose bulk data takes the bulk lanes.
//
// Threading and errors: as RemoteFs. Files may outlive it.
#pragma once

#include <memory>
#include <vector>

#include "transport/base/sync.h"
#include "transport/lanes/lane_file.h"
#include "transport/lanes/lane_pool.h"
#include "transport/remote_fs.h"

namespace bt::lanes {

// The open files of a session, so that they can be told of names that lead elsewhere now.
class OpenFiles {
 public:
  // Files at `path` or below will not be opened by it again.
  void NameChanged(const RemotePath& path);

  void Add(std::weak_ptr<Stripe> stripe);

 private:
  Mutex mutex_;
  std::vector<std::weak_ptr<Stripe>> stripes_ GUARDED_BY(mutex_);
};

class LaneFs final : public RemoteFs {
 public:
  // `interactive` outlives the object (the pool keeps its connection).
  LaneFs(RemoteFs& interactive, std::shared_ptr<LanePool> pool) : below_(interactive), pool_(std::move(pool)) {}

  Result<Attributes> Lstat(const OpContext& ctx, const RemotePath& path) override { return below_.Lstat(ctx, path); }
  Result<Attributes> Stat(const OpContext& ctx, const RemotePath& path) override { return below_.Stat(ctx, path); }
  Status SetAttributes(const OpContext& ctx, const RemotePath& path, const AttributeChange& change) override {
    return below_.SetAttributes(ctx, path, change);
  }
  Result<std::vector<DirEntry>> ReadDirectory(const OpContext& ctx, const RemotePath& path) override {
    return below_.ReadDirectory(ctx, path);
  }
  Status ReadDirectories(const OpContext& ctx, std::span<const DirectoryQuery> queries, std::size_t max_entries,
                         const Listed& listed) override {
    return below_.ReadDirectories(ctx, queries, max_entries, listed);
  }
  Status LstatMany(const OpContext& ctx, std::span<const RemotePath> paths, const Seen& seen) override {
    return below_.LstatMany(ctx, paths, seen);
  }
  Result<std::string> ReadLink(const OpContext& ctx, const RemotePath& path) override {
    return below_.ReadLink(ctx, path);
  }
  Status MakeSymlink(const OpContext& ctx, const RemotePath& path, std::string_view target) override {
    return below_.MakeSymlink(ctx, path, target);
  }
  Status MakeDirectory(const OpContext& ctx, const RemotePath& path, std::uint32_t permissions) override {
    return below_.MakeDirectory(ctx, path, permissions);
  }
  Status RemoveFile(const OpContext& ctx, const RemotePath& path) override;
  Status RemoveDirectory(const OpContext& ctx, const RemotePath& path) override {
    return below_.RemoveDirectory(ctx, path);
  }
  Status Rename(const OpContext& ctx, const RemotePath& from, const RemotePath& to, RenameMode mode) override;
  Status MakeHardLink(const OpContext& ctx, const RemotePath& existing, const RemotePath& path) override {
    return below_.MakeHardLink(ctx, existing, path);
  }
  Result<OpenedFile> Open(const OpContext& ctx, const RemotePath& path, const OpenFlags& flags,
                          std::uint32_t permissions) override;
  Result<FsStats> StatFs(const OpContext& ctx, const RemotePath& path) override { return below_.StatFs(ctx, path); }
  Result<RemotePath> RealPath(const OpContext& ctx, std::string_view text) override {
    return below_.RealPath(ctx, text);
  }
  Result<std::uint64_t> CopyRange(const OpContext& ctx, RemoteFile& from, std::uint64_t from_offset, RemoteFile& to,
                                  std::uint64_t to_offset, std::uint64_t length) override;
  RemoteCapabilities capabilities() const override { return below_.capabilities(); }

 private:
  RemoteFs& below_;
  const std::shared_ptr<LanePool> pool_;
  OpenFiles open_files_;
};

}  // namespace bt::lanes
