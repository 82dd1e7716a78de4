#include <algorithm>
#include <optional>
#include <span>
#include <string>

#include "fs/fuse/call.h"
#include "fs/fuse/convert.h"
#include "fs/fuse/ops.h"

namespace bt::fuse {
namespace {

constexpr TaskKind kMeta = TaskKind::kMetadata;

std::optional<FileHandle> HandleOf(const fuse_file_info* info) {
  return info == nullptr ? std::nullopt : std::optional(FileHandle{info->fh});
}

// An entry that the kernel did not take counts no lookup.
void ReplyEntry(Call& call, const Result<Entry>& entry) {
  if (!call.reply.Linked(entry) && entry.ok()) {
    call.fs.Forget(entry->inode, 1);
  }
}

// What memory knows; inode 0: nothing there.
void ReplyKnown(Call& call, Entry known, std::chrono::milliseconds negative_ttl) {
  if (known.inode != InodeNo{0}) {
    ReplyEntry(call, known);
    return;
  }
  known.ttl = std::min(known.ttl, negative_ttl);
  if (known.ttl.count() > 0) {
    call.reply.Linked(known);
  } else {
    call.reply.Failed(Error{Code::kNotFound, "the directory's listing does not have it", "fs.not-listed"});
  }
}

void Lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  const std::chrono::milliseconds negative_ttl = BorderOf(request).negative_ttl;
  if (const auto known = BorderOf(request).fs.KnownEntry(InodeNo{parent}, name)) {
    Here(request, {"lookup", InodeNo{parent}, name},
         [&known, negative_ttl](Call& call) { ReplyKnown(call, *known, negative_ttl); });
    return;
  }
  OnPool(
      request, kMeta, {"lookup", InodeNo{parent}, name},
      [negative_ttl](Call& call) {
        const TimePoint asked_at = Clock::now();
        const Result<Entry> entry = call.fs.Lookup(call.ctx, call.inode(), call.name());
        const auto age = std::chrono::ceil<std::chrono::milliseconds>(Clock::now() - asked_at);
        const auto ttl = std::max(negative_ttl - age, std::chrono::milliseconds(0));
        if (!call.reply.LookedUp(entry, ttl) && entry.ok()) {
          call.fs.Forget(entry->inode, 1);
        }
      },
      [negative_ttl](Call& call) {
        const auto known = call.fs.KnownEntry(call.inode(), call.name());
        if (known) {
          ReplyKnown(call, *known, negative_ttl);
        }
        return known.has_value();
      });
}

void Forget(fuse_req_t request, fuse_ino_t inode, std::uint64_t lookups) {
  Here(request, {"forget", InodeNo{inode}}, [lookups](Call& call) {
    call.fs.Forget(call.inode(), lookups);
    call.reply.None();
  });
}

void ForgetMulti(fuse_req_t request, std::size_t count, fuse_forget_data* forgets) {
  Here(request, {"forget"}, [all = std::span(forgets, count)](Call& call) {
    for (const fuse_forget_data& one : all) {
      call.fs.Forget(InodeNo{one.ino}, one.nlookup);
    }
    call.reply.None();
  });
}

void GetAttributes(fuse_req_t request, fuse_ino_t inode, fuse_file_info* info) {
  Border& border = BorderOf(request);
  if (const auto known = border.fs.KnownAttributes(InodeNo{inode}, border.pool.queued_count() > 0)) {
    Here(request, {"getattr", InodeNo{inode}}, [&known](Call& call) { call.reply.Attributes(*known); });
    return;
  }
  OnPool(
      request, kMeta, {"getattr", InodeNo{inode}},
      [handle = HandleOf(info)](Call& call) {
        call.reply.Attributes(call.fs.GetAttributes(call.ctx, call.inode(), handle));
      },
      [](Call& call) {
        const auto known = call.fs.KnownAttributes(call.inode(), /*takes_long=*/true);
        if (known) {
          call.reply.Attributes(*known);
        }
        return known.has_value();
      });
}

void SetAttributes(fuse_req_t request, fuse_ino_t inode, struct stat* values, int to_set, fuse_file_info* info) {
  OnPool(request, kMeta, {"setattr", InodeNo{inode}},
         [change = ToSetAttributes(*values, to_set), handle = HandleOf(info)](Call& call) {
           call.reply.Attributes(call.fs.SetAttributes(call.ctx, call.inode(), change, handle));
         });
}

void Access(fuse_req_t request, fuse_ino_t inode, int mask) {
  OnPool(request, kMeta, {"access", InodeNo{inode}}, [mask, caller = *fuse_req_ctx(request)](Call& call) {
    call.reply.Done(call.fs.Access(call.ctx, call.inode(), mask, caller.uid, caller.gid));
  });
}

void StatFs(fuse_req_t request, fuse_ino_t inode) {
  if (const auto known = BorderOf(request).fs.KnownStats()) {
    Here(request, {"statfs", InodeNo{inode}}, [&known](Call& call) { call.reply.Space(*known); });
    return;
  }
  OnPool(request, kMeta, {"statfs", InodeNo{inode}}, [](Call& call) { call.reply.Space(call.fs.StatFs(call.ctx)); });
}

void ReadLink(fuse_req_t request, fuse_ino_t inode) {
  OnPool(request, kMeta, {"readlink", InodeNo{inode}},
         [](Call& call) { call.reply.Target(call.fs.ReadLink(call.ctx, call.inode())); });
}

void MakeSymlink(fuse_req_t request, const char* target, fuse_ino_t parent, const char* name) {
  OnPool(request, kMeta, {"symlink", InodeNo{parent}, name}, [target = std::string(target)](Call& call) {
    ReplyEntry(call, call.fs.MakeSymlink(call.ctx, call.inode(), call.name(), target));
  });
}

void MakeNode(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, dev_t /*device*/) {
  OnPool(request, kMeta, {"mknod", InodeNo{parent}, name},
         [mode](Call& call) { ReplyEntry(call, call.fs.MakeNode(call.ctx, call.inode(), call.name(), mode)); });
}

void MakeDirectory(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode) {
  OnPool(request, kMeta, {"mkdir", InodeNo{parent}, name}, [mode = mode & 07777U](Call& call) {
    ReplyEntry(call, call.fs.MakeDirectory(call.ctx, call.inode(), call.name(), mode));
  });
}

void Unlink(fuse_req_t request, fuse_ino_t parent, const char* name) {
  OnPool(request, kMeta, {"unlink", InodeNo{parent}, name},
         [](Call& call) { call.reply.Done(call.fs.Unlink(call.ctx, call.inode(), call.name())); });
}

void RemoveDirectory(fuse_req_t request, fuse_ino_t parent, const char* name) {
  OnPool(request, kMeta, {"rmdir", InodeNo{parent}, name},
         [](Call& call) { call.reply.Done(call.fs.RemoveDirectory(call.ctx, call.inode(), call.name())); });
}

void Rename(fuse_req_t request, fuse_ino_t parent, const char* name, fuse_ino_t new_parent, const char* new_name,
            unsigned flags) {
  OnPool(request, kMeta, {"rename", InodeNo{parent}, name},
         [to = InodeNo{new_parent}, new_name = std::string(new_name), mode = ToRenameMode(flags)](Call& call) {
           call.reply.Done(mode.ok() ? call.fs.Rename(call.ctx, call.inode(), call.name(), to, new_name, *mode)
                                     : Status(mode.error()));
         });
}

void Link(fuse_req_t request, fuse_ino_t inode, fuse_ino_t new_parent, const char* new_name) {
  OnPool(request, kMeta, {"link", InodeNo{new_parent}, new_name}, [inode = InodeNo{inode}](Call& call) {
    ReplyEntry(call, call.fs.Link(call.ctx, inode, call.inode(), call.name()));
  });
}

}  // namespace

void AddNameOperations(fuse_lowlevel_ops& ops) {
  ops.lookup = Lookup;
  ops.forget = Forget;
  ops.forget_multi = ForgetMulti;
  ops.getattr = GetAttributes;
  ops.setattr = SetAttributes;
  ops.access = Access;
  ops.statfs = StatFs;
  ops.readlink = ReadLink;
  ops.symlink = MakeSymlink;
  ops.mknod = MakeNode;
  ops.mkdir = MakeDirectory;
  ops.unlink = Unlink;
  ops.rmdir = RemoveDirectory;
  ops.rename = Rename;
  ops.link = Link;
}

}  // namespace bt::fuse
