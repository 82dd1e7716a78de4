#include "tests/support/fake_remote_fs/fake_remote_fs.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "tests/support/fake_remote_fs/fake_file.h"
#include "tests/support/fake_remote_fs/fake_state.h"

namespace bt {
namespace {

FakeCall PathCall(FakeOp op, const RemotePath& path, const RemotePath& other = {}) { return FakeCall{op, path, other}; }

Error NotOffered(std::string_view what) {
  return Error{Code::kUnsupported, fmt::format("the server does not offer {}", what), "fake.unsupported"};
}

// For the helpers that tests use to prepare a scene: a scene that cannot be made is a defect of the test.
template <typename T>
T Must(Result<T> result, std::string_view what) {
  if (!result.ok()) {
    fmt::print(stderr, "FakeRemoteFs: {}: {}\n", what, Describe(result.error()));
    std::abort();
  }
  return std::move(result).value();
}

RemotePath PathOf(std::string_view text) { return Must(RemotePath::Parse(text), text); }

std::span<const std::byte> BytesOf(std::string_view text) { return std::as_bytes(std::span(text)); }

void MakeDirsIn(FakeTree& tree, const RemotePath& path) {
  if (path.is_root() || tree.Find(path.text(), true).ok()) {
    return;
  }
  MakeDirsIn(tree, path.parent());
  Must(tree.MakeDirectory(path, 0755), path.text());
}

void RemoveIn(FakeTree& tree, const RemotePath& path) {
  if (!Must(tree.Find(path.text(), false), path.text())->is_directory()) {
    return Must(tree.RemoveFile(path), path.text());
  }
  for (const DirEntry& entry : Must(tree.List(path), path.text())) {
    RemoveIn(tree, path / entry.name);
  }
  Must(tree.RemoveDirectory(path), path.text());
}

}  // namespace

FakeRemoteFs::FakeRemoteFs() : state_(std::make_shared<FakeState>()) {
  const MutexLock lock(state_->mutex);
  state_->tree.now = [] { return kStartTime; };
  state_->capabilities = RemoteCapabilities{true, true, true, true, true, true, 261120, 261120, 0};
  state_->stats.blocks = state_->stats.blocks_free = state_->stats.blocks_available = 1U << 28U;  // 1 TiB
  state_->stats.files = state_->stats.files_free = state_->stats.files_available = 1U << 24U;
  // A new tree has a root made at kStartTime too.
  AttributeChange times;
  times.times = AttributeChange::Times{kStartTime, kStartTime};
  Must(state_->tree.Change(*Must(state_->tree.Find("/", false), "/"), times), "/");
}

FakeRemoteFs::~FakeRemoteFs() = default;

Result<Attributes> FakeRemoteFs::Lstat(const OpContext& ctx, const RemotePath& path) {
  return state_->Do(ctx, PathCall(FakeOp::kLstat, path), [&](FakeTree& tree, const FakeCall&) -> Result<Attributes> {
    return FakeTree::AttributesOf(*TRY(tree.Find(path.text(), false)));
  });
}

Result<Attributes> FakeRemoteFs::Stat(const OpContext& ctx, const RemotePath& path) {
  return state_->Do(ctx, PathCall(FakeOp::kStat, path), [&](FakeTree& tree, const FakeCall&) -> Result<Attributes> {
    return FakeTree::AttributesOf(*TRY(tree.Find(path.text(), true)));
  });
}

Status FakeRemoteFs::SetAttributes(const OpContext& ctx, const RemotePath& path, const AttributeChange& change) {
  if (change.empty()) {
    return {};
  }
  const bool lsetstat = capabilities().lsetstat;
  return state_->Do(ctx, PathCall(FakeOp::kSetAttributes, path), [&](FakeTree& tree, const FakeCall&) -> Status {
    const FakeTree::NodePtr node = TRY(tree.Find(path.text(), false));
    if (node->is_symlink() && !lsetstat) {
      return NotOffered("changes of symbolic links");
    }
    return tree.Change(*node, change);
  });
}

Result<std::vector<DirEntry>> FakeRemoteFs::ReadDirectory(const OpContext& ctx, const RemotePath& path) {
  return state_->Do(ctx, PathCall(FakeOp::kReadDirectory, path),
                    [&](FakeTree& tree, const FakeCall&) { return tree.List(path); });
}

Result<std::string> FakeRemoteFs::ReadLink(const OpContext& ctx, const RemotePath& path) {
  return state_->Do(ctx, PathCall(FakeOp::kReadLink, path),
                    [&](FakeTree& tree, const FakeCall&) { return tree.ReadLink(path); });
}

Status FakeRemoteFs::MakeSymlink(const OpContext& ctx, const RemotePath& path, std::string_view target) {
  return state_->Do(ctx, PathCall(FakeOp::kMakeSymlink, path),
                    [&](FakeTree& tree, const FakeCall&) { return tree.MakeSymlink(path, target); });
}

Status FakeRemoteFs::MakeDirectory(const OpContext& ctx, const RemotePath& path, std::uint32_t permissions) {
  return state_->Do(ctx, PathCall(FakeOp::kMakeDirectory, path),
                    [&](FakeTree& tree, const FakeCall&) { return tree.MakeDirectory(path, permissions); });
}

Status FakeRemoteFs::RemoveFile(const OpContext& ctx, const RemotePath& path) {
  return state_->Do(ctx, PathCall(FakeOp::kRemoveFile, path),
                    [&](FakeTree& tree, const FakeCall&) { return tree.RemoveFile(path); });
}

Status FakeRemoteFs::RemoveDirectory(const OpContext& ctx, const RemotePath& path) {
  return state_->Do(ctx, PathCall(FakeOp::kRemoveDirectory, path),
                    [&](FakeTree& tree, const FakeCall&) { return tree.RemoveDirectory(path); });
}

Status FakeRemoteFs::Rename(const OpContext& ctx, const RemotePath& from, const RemotePath& to, RenameMode mode) {
  const bool replaces = capabilities().posix_rename;
  return state_->Do(ctx, PathCall(FakeOp::kRename, from, to), [&](FakeTree& tree, const FakeCall&) -> Status {
    if (mode == RenameMode::kReplace && !replaces && tree.Find(from.text(), false).ok() &&
        tree.Find(to.text(), false).ok()) {
      return Error{Code::kExists, fmt::format("{}: exists", to.text()), "fake.answer"};  // as plain RENAME
    }
    return tree.Rename(from, to, mode);
  });
}

Status FakeRemoteFs::MakeHardLink(const OpContext& ctx, const RemotePath& existing, const RemotePath& path) {
  const bool offered = capabilities().hardlink;
  return state_->Do(ctx, PathCall(FakeOp::kMakeHardLink, existing, path),
                    [&](FakeTree& tree, const FakeCall&) -> Status {
                      if (!offered) {
                        return NotOffered("hard links");
                      }
                      return tree.MakeHardLink(existing, path);
                    });
}

Result<OpenedFile> FakeRemoteFs::Open(const OpContext& ctx, const RemotePath& path, const OpenFlags& flags,
                                      std::uint32_t permissions) {
  const std::uint64_t max_handles = capabilities().max_handles;
  return state_->Do(ctx, PathCall(FakeOp::kOpen, path),
                    [&](FakeTree& tree, const FakeCall&) NO_THREAD_SAFETY_ANALYSIS -> Result<OpenedFile> {
                      if (max_handles != 0 && state_->open_files >= max_handles) {
                        return Error{Code::kTooManyHandles, "too many open files on the server", "fake.handles"};
                      }
                      FakeTree::NodePtr node = TRY(tree.Open(path, flags, permissions));
                      const Attributes attributes = FakeTree::AttributesOf(*node);
                      ++state_->open_files;
                      return OpenedFile{std::make_unique<FakeFile>(state_, std::move(node), path, flags), attributes};
                    });
}

Result<FsStats> FakeRemoteFs::StatFs(const OpContext& ctx, const RemotePath& path) {
  return state_->Do(ctx, PathCall(FakeOp::kStatFs, path),
                    [&](FakeTree& tree, const FakeCall&) NO_THREAD_SAFETY_ANALYSIS -> Result<FsStats> {
                      if (!state_->capabilities.statvfs) {
                        return NotOffered("statvfs");
                      }
                      TRY(tree.Find(path.text(), true));
                      return state_->stats;
                    });
}

Result<RemotePath> FakeRemoteFs::RealPath(const OpContext& ctx, std::string_view text) {
  FakeCall call;
  call.op = FakeOp::kRealPath;
  return state_->Do(ctx, call, [&](FakeTree& tree, const FakeCall&) { return tree.RealPath(text); });
}

Result<std::uint64_t> FakeRemoteFs::CopyRange(const OpContext& ctx, RemoteFile& from, std::uint64_t from_offset,
                                              RemoteFile& to, std::uint64_t to_offset, std::uint64_t length) {
  auto* const source = dynamic_cast<FakeFile*>(&from);
  auto* const target = dynamic_cast<FakeFile*>(&to);
  if (!capabilities().copy_data || source == nullptr || target == nullptr) {
    return NotOffered("copying between these files");
  }
  return state_->Do(
      ctx, FakeCall{FakeOp::kCopyRange, source->path(), target->path(), from_offset, length},
      [&](FakeTree& tree, const FakeCall&) { return source->CopyTo(tree, *target, from_offset, to_offset, length); });
}

RemoteCapabilities FakeRemoteFs::capabilities() const { return state_->Capabilities(); }

FaultScript& FakeRemoteFs::script() { return state_->script; }

void FakeRemoteFs::SetCapabilities(const RemoteCapabilities& capabilities) {
  const MutexLock lock(state_->mutex);
  state_->capabilities = capabilities;
}

void FakeRemoteFs::SetStats(const FsStats& stats) {
  const MutexLock lock(state_->mutex);
  state_->stats = stats;
}

void FakeRemoteFs::SetClock(std::function<std::int64_t()> now) {
  const MutexLock lock(state_->mutex);
  state_->tree.now = std::move(now);
}

void FakeRemoteFs::AdvanceClock(std::int64_t seconds) {
  const MutexLock lock(state_->mutex);
  const std::int64_t then = state_->tree.now() + seconds;
  state_->tree.now = [then] { return then; };
}

void FakeRemoteFs::SetUmask(std::uint32_t umask) {
  const MutexLock lock(state_->mutex);
  state_->tree.umask = umask;
}

void FakeRemoteFs::SetCreator(std::uint32_t uid, std::uint32_t gid) {
  const MutexLock lock(state_->mutex);
  state_->tree.uid = uid;
  state_->tree.gid = gid;
}

void FakeRemoteFs::SetStart(std::string_view path) {
  const MutexLock lock(state_->mutex);
  state_->tree.start = PathOf(path);
}

std::size_t FakeRemoteFs::open_files() const {
  const MutexLock lock(state_->mutex);
  return state_->open_files;
}

void FakeRemoteFs::WriteFile(std::string_view path, std::string_view content) {
  const MutexLock lock(state_->mutex);
  MakeDirsIn(state_->tree, PathOf(path).parent());
  OpenFlags flags;
  flags.write = flags.create = flags.truncate = true;
  const FakeTree::NodePtr node = Must(state_->tree.Open(PathOf(path), flags, 0644), path);
  Must(state_->tree.Write(*node, 0, BytesOf(content)), path);
}

void FakeRemoteFs::AppendFile(std::string_view path, std::string_view content) {
  const MutexLock lock(state_->mutex);
  const FakeTree::NodePtr node = Must(state_->tree.Find(path, true), path);
  Must(state_->tree.Write(*node, node->content.size(), BytesOf(content)), path);
}

std::string FakeRemoteFs::ReadFile(std::string_view path) const {
  const MutexLock lock(state_->mutex);
  const FakeTree::NodePtr node = Must(state_->tree.Find(path, true), path);
  std::string text(node->content.size(), '\0');
  node->content.Read(0, std::as_writable_bytes(std::span(text)));
  return text;
}

void FakeRemoteFs::MakeDirs(std::string_view path) {
  const MutexLock lock(state_->mutex);
  MakeDirsIn(state_->tree, PathOf(path));
}

void FakeRemoteFs::MakeLink(std::string_view path, std::string_view target) {
  const MutexLock lock(state_->mutex);
  MakeDirsIn(state_->tree, PathOf(path).parent());
  Must(state_->tree.MakeSymlink(PathOf(path), target), path);
}

void FakeRemoteFs::Remove(std::string_view path) {
  const MutexLock lock(state_->mutex);
  RemoveIn(state_->tree, PathOf(path));
}

void FakeRemoteFs::Move(std::string_view from, std::string_view to) {
  const MutexLock lock(state_->mutex);
  Must(state_->tree.Rename(PathOf(from), PathOf(to), RenameMode::kReplace), from);
}

void FakeRemoteFs::Change(std::string_view path, const AttributeChange& change) {
  const MutexLock lock(state_->mutex);
  Must(state_->tree.Change(*Must(state_->tree.Find(path, false), path), change), path);
}

bool FakeRemoteFs::Exists(std::string_view path) const {
  const MutexLock lock(state_->mutex);
  return state_->tree.Find(path, false).ok();
}

Attributes FakeRemoteFs::AttributesOf(std::string_view path) const {
  const MutexLock lock(state_->mutex);
  return FakeTree::AttributesOf(*Must(state_->tree.Find(path, false), path));
}

}  // namespace bt
