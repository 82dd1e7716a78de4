#include "tests/support/fake_remote_fs/fake_file.h"

#include <algorithm>
#include <limits>
#include <vector>

namespace bt {
namespace {

FakeCall FileCall(FakeOp op, const RemotePath& path, std::uint64_t offset = 0, std::uint64_t length = 0) {
  return FakeCall{op, path, {}, offset, length};
}

Error WrongHandle(std::string_view missing) {
  return Error{Code::kBadHandle, "the file is not open for " + std::string(missing), "fake.handle"};
}

constexpr std::uint64_t kMaxOffset = std::numeric_limits<std::int64_t>::max();

}  // namespace

FakeFile::FakeFile(std::shared_ptr<FakeState> state, std::shared_ptr<FakeNode> node, RemotePath path, OpenFlags flags)
    : state_(std::move(state)), node_(std::move(node)), path_(std::move(path)), flags_(flags) {}

FakeFile::~FakeFile() {
  state_->script.Record(FileCall(FakeOp::kClose, path_));
  const MutexLock lock(state_->mutex);
  --state_->open_files;
}

Result<std::size_t> FakeFile::Read(const OpContext& ctx, std::uint64_t offset, std::span<std::byte> out) {
  return state_->Do(ctx, FileCall(FakeOp::kRead, path_, offset, out.size()),
                    [&](FakeTree&, const FakeCall&) -> Result<std::size_t> {
                      if (!readable()) {
                        return WrongHandle("reading");
                      }
                      if (offset > kMaxOffset) {
                        return Error{Code::kInvalid, "offset out of range", "fake.offset"};
                      }
                      return node_->content.Read(offset, out);
                    });
}

Status FakeFile::Write(const OpContext& ctx, std::uint64_t offset, std::span<const std::byte> bytes) {
  return state_->Do(ctx, FileCall(FakeOp::kWrite, path_, offset, bytes.size()),
                    [&](FakeTree& tree, const FakeCall& call) {
                      return WriteAt(tree, offset, bytes.first(static_cast<std::size_t>(call.length_done)));
                    });
}

Status FakeFile::WriteAt(FakeTree& tree, std::uint64_t offset, std::span<const std::byte> bytes) {
  if (!flags_.write) {
    return WrongHandle("writing");
  }
  return tree.Write(*node_, flags_.append ? node_->content.size() : offset, bytes);
}

Result<Attributes> FakeFile::Stat(const OpContext& ctx) {
  return state_->Do(ctx, FileCall(FakeOp::kFileStat, path_),
                    [&](FakeTree&, const FakeCall&) -> Result<Attributes> { return FakeTree::AttributesOf(*node_); });
}

Status FakeFile::SetAttributes(const OpContext& ctx, const AttributeChange& change) {
  return state_->Do(ctx, FileCall(FakeOp::kFileSetAttributes, path_), [&](FakeTree& tree, const FakeCall&) -> Status {
    if (change.size && !flags_.write) {
      return Error{Code::kInvalid, "the file is not open for writing", "fake.handle"};
    }
    return tree.Change(*node_, change);
  });
}

Status FakeFile::Sync(const OpContext& ctx) {
  const bool offered = state_->Capabilities().fsync;
  return state_->Do(ctx, FileCall(FakeOp::kSync, path_), [&](FakeTree&, const FakeCall&) -> Status {
    if (!offered) {
      return Error{Code::kUnsupported, "the server has no fsync", "fake.unsupported"};
    }
    return {};
  });
}

Result<std::uint64_t> FakeFile::CopyTo(FakeTree& tree, FakeFile& to, std::uint64_t from_offset, std::uint64_t to_offset,
                                       std::uint64_t length) {
  if (!readable()) {
    return WrongHandle("reading");
  }
  if (!to.flags_.write) {
    return WrongHandle("writing");
  }
  // OpenSSH refuses to copy within one path, and would place the bytes elsewhere in an appending file.
  if (to.path_ == path_ || to.flags_.append) {
    return Error{Code::kUnsupported, "the server cannot copy into this file", "fake.copy"};
  }
  std::vector<std::byte> chunk(65536);
  std::uint64_t done = 0;
  while (done < length) {
    const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(chunk.size(), length - done));
    const std::size_t got = node_->content.Read(from_offset + done, std::span(chunk).first(want));
    if (got == 0) {
      break;
    }
    TRY(to.WriteAt(tree, to_offset + done, std::span(chunk).first(got)));
    done += got;
  }
  return done;
}

}  // namespace bt
