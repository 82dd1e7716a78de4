#include <algorithm>
#include <memory>
#include <span>

#include "fs/fuse/call.h"
#include "fs/fuse/device_loop.h"
#include "fs/fuse/directory_page.h"
#include "fs/fuse/ops.h"
#include "transport/base/page_bytes.h"

namespace bt::fuse {
namespace {

constexpr TaskKind kMeta = TaskKind::kMetadata;
constexpr TaskKind kData = TaskKind::kData;

// The kernel cannot interrupt the server's copying, only what comes after it.
constexpr std::uint64_t kCopyChunk = std::uint64_t{64} << 20U;

Subject::Range RangeOf(off_t offset, std::size_t length) { return {static_cast<std::uint64_t>(offset), length}; }

// The kernel asks for them before it uses them again. An offset below 0 leaves its pages alone: to drop one that waits
// for an answer of ours would block.
void ForgetAttributes(const Call& call) {
  fuse_lowlevel_notify_inval_inode(call.session, static_cast<fuse_ino_t>(call.inode()), -1, 0);
}

void Open(fuse_req_t request, fuse_ino_t inode, fuse_file_info* info) {
  OnPool(request, kMeta, {"open", InodeNo{inode}}, [flags = info->flags](Call& call) {
    const Result<OpenReply> open = call.fs.Open(call.ctx, call.inode(), flags);
    if (open.ok() && open->newly_changed) {
      ForgetAttributes(call);
    }
    if (!call.reply.Opened(open) && open.ok()) {
      call.fs.Release(open->handle);
    }
  });
}

void Create(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, fuse_file_info* info) {
  OnPool(request, kMeta, {"create", InodeNo{parent}, name}, [mode = mode & 07777U, flags = info->flags](Call& call) {
    const Result<CreateReply> created = call.fs.Create(call.ctx, call.inode(), call.name(), mode, flags);
    if (!call.reply.Created(created) && created.ok()) {
      call.fs.Release(created->open.handle);
      call.fs.Forget(created->entry.inode, 1);
    }
  });
}

void Read(fuse_req_t request, fuse_ino_t inode, std::size_t size, off_t offset, fuse_file_info* info) {
  const FileHandle handle{info->fh};
  const Subject::Range range = RangeOf(offset, size);
  if (const auto pieces = BorderOf(request).fs.ReadFromMemory(handle, range.offset, range.length)) {
    Here(request, {"read", InodeNo{inode}, {}, range}, [&pieces](Call& call) { call.reply.Data(*pieces); });
    return;
  }
  OnPool(request, kData, {"read", InodeNo{inode}, {}, range}, [handle, range](Call& call) {
    const PageBytes buffer = MakePageBytes(range.length);
    const std::span out(buffer.get(), range.length);
    call.reply.Data(call.fs.Read(call.ctx, handle, range.offset, out), out);
  });  // NOLINT(clang-analyzer-cplusplus.NewDeleteLeaks): 14 does not follow the deleter of PageBytes
}

void Write(fuse_req_t request, fuse_ino_t inode, const char* data, std::size_t size, off_t offset,
           fuse_file_info* info) {
  OnPool(request, kData, {"write", InodeNo{inode}, {}, RangeOf(offset, size)},
         [handle = FileHandle{info->fh}, offset = static_cast<std::uint64_t>(offset),
          bytes = RequestBytes::Keep(std::as_bytes(std::span(data, size)))](Call& call) {
           call.reply.Written(call.fs.Write(call.ctx, handle, offset, bytes.span()), bytes.span().size());
         });
}

void Flush(fuse_req_t request, fuse_ino_t inode, fuse_file_info* info) {
  if (BorderOf(request).fs.Clean(FileHandle{info->fh})) {
    Here(request, {"flush", InodeNo{inode}}, [](Call& call) { call.reply.Done({}); });
    return;
  }
  OnPool(request, kData, {"flush", InodeNo{inode}},
         [handle = FileHandle{info->fh}](Call& call) { call.reply.Done(call.fs.Flush(call.ctx, handle)); });
}

void Sync(fuse_req_t request, fuse_ino_t inode, int /*data_only*/, fuse_file_info* info) {
  OnPool(request, kData, {"fsync", InodeNo{inode}},
         [handle = FileHandle{info->fh}](Call& call) { call.reply.Done(call.fs.Sync(call.ctx, handle)); });
}

void Release(fuse_req_t request, fuse_ino_t inode, fuse_file_info* info) {
  Here(request, {"release", InodeNo{inode}}, [handle = FileHandle{info->fh}](Call& call) {
    call.fs.Release(handle);
    call.reply.Done({});
  });
}

void CopyRange(fuse_req_t request, fuse_ino_t from_inode, off_t from_offset, fuse_file_info* from,
               fuse_ino_t /*to_inode*/, off_t to_offset, fuse_file_info* to, std::size_t length, int flags) {
  OnPool(request, kData, {"copy_file_range", InodeNo{from_inode}, {}, RangeOf(from_offset, length)},
         [from = FileHandle{from->fh}, to = FileHandle{to->fh}, from_offset = static_cast<std::uint64_t>(from_offset),
          to_offset = static_cast<std::uint64_t>(to_offset), length = std::min<std::uint64_t>(length, kCopyChunk),
          flags](Call& call) {
           if (flags != 0) {
             call.reply.Failed(Error{Code::kInvalid, "copy_file_range has no flags", "fuse.copy-flags"});
           } else {
             call.reply.Copied(call.fs.CopyRange(call.ctx, from, from_offset, to, to_offset, length));
           }
         });
}

void OpenDirectory(fuse_req_t request, fuse_ino_t inode, fuse_file_info* /*info*/) {
  Here(request, {"opendir", InodeNo{inode}}, [](Call& call) {
    const Result<DirectoryHandle> handle = call.fs.OpenDirectory(call.ctx, call.inode());
    if (!call.reply.OpenedDirectory(handle) && handle.ok()) {
      call.fs.ReleaseDirectory(*handle);
    }
  });
}

void ListDirectory(fuse_req_t request, Subject subject, std::size_t size, off_t offset, DirectoryHandle handle,
                   bool with_lookups) {
  DirectoryPage known(request, size, with_lookups);
  if (const auto status = BorderOf(request).fs.ReadKnownDirectory(handle, offset, with_lookups, known)) {
    Here(request, std::move(subject), [&](Call& call) {
      if (!call.reply.Data(status->ok() ? Result<std::size_t>(known.size()) : status->error(), known.buffer())) {
        known.ForgetAll(call.fs);
      }
    });
    return;
  }
  OnPool(request, kMeta, std::move(subject), [size, offset, handle, with_lookups](Call& call) {
    DirectoryPage page(call.reply.request(), size, with_lookups);
    const Status status = call.fs.ReadDirectory(call.ctx, handle, offset, with_lookups, page);
    if (!call.reply.Data(status.ok() ? Result<std::size_t>(page.size()) : status.error(), page.buffer())) {
      page.ForgetAll(call.fs);
    }
  });
}

void ReadDirectory(fuse_req_t request, fuse_ino_t inode, std::size_t size, off_t offset, fuse_file_info* info) {
  ListDirectory(request, {"readdir", InodeNo{inode}}, size, offset, DirectoryHandle{info->fh}, false);
}

void ReadDirectoryPlus(fuse_req_t request, fuse_ino_t inode, std::size_t size, off_t offset, fuse_file_info* info) {
  ListDirectory(request, {"readdirplus", InodeNo{inode}}, size, offset, DirectoryHandle{info->fh}, true);
}

void ReleaseDirectory(fuse_req_t request, fuse_ino_t inode, fuse_file_info* info) {
  Here(request, {"releasedir", InodeNo{inode}}, [handle = DirectoryHandle{info->fh}](Call& call) {
    call.fs.ReleaseDirectory(handle);
    call.reply.Done({});
  });
}

// Every change of a directory was acknowledged by the server before its own answer; SFTP can do no more.
void SyncDirectory(fuse_req_t request, fuse_ino_t inode, int /*data_only*/, fuse_file_info* /*info*/) {
  Here(request, {"fsyncdir", InodeNo{inode}}, [](Call& call) { call.reply.Done({}); });
}

}  // namespace

void AddFileOperations(fuse_lowlevel_ops& ops) {
  ops.open = Open;
  ops.create = Create;
  ops.read = Read;
  ops.write = Write;
  ops.flush = Flush;
  ops.fsync = Sync;
  ops.release = Release;
  ops.copy_file_range = CopyRange;
  ops.opendir = OpenDirectory;
  ops.readdir = ReadDirectory;
  ops.readdirplus = ReadDirectoryPlus;
  ops.releasedir = ReleaseDirectory;
  ops.fsyncdir = SyncDirectory;
}

fuse_lowlevel_ops AllOperations() {
  fuse_lowlevel_ops ops{};
  AddNameOperations(ops);
  AddFileOperations(ops);
  return ops;
}

}  // namespace bt::fuse
