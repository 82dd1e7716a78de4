// An open file of a FakeRemoteFs: holds the file itself, so it survives rename and unlink.
#pragma once

#include <memory>

#include "tests/support/fake_remote_fs/fake_state.h"
#include "transport/remote_fs.h"

namespace bt {

class FakeFile : public RemoteFile {
 public:
  // The caller has counted it in state->open_files.
  FakeFile(std::shared_ptr<FakeState> state, std::shared_ptr<FakeNode> node, RemotePath path, OpenFlags flags);
  ~FakeFile() override;
  FakeFile(const FakeFile&) = delete;
  FakeFile& operator=(const FakeFile&) = delete;

  Result<std::size_t> Read(const OpContext& ctx, std::uint64_t offset, std::span<std::byte> out) override;
  Status Write(const OpContext& ctx, std::uint64_t offset, std::span<const std::byte> bytes) override;
  Result<Attributes> Stat(const OpContext& ctx) override;
  Status SetAttributes(const OpContext& ctx, const AttributeChange& change) override;
  Status Sync(const OpContext& ctx) override;

  const RemotePath& path() const { return path_; }
  // On the server, from this file to `to`, with the tree locked by the caller.
  Result<std::uint64_t> CopyTo(FakeTree& tree, FakeFile& to, std::uint64_t from_offset, std::uint64_t to_offset,
                               std::uint64_t length);

 private:
  bool readable() const { return flags_.read || !flags_.write; }
  Status WriteAt(FakeTree& tree, std::uint64_t offset, std::span<const std::byte> bytes);

  const std::shared_ptr<FakeState> state_;
  const std::shared_ptr<FakeNode> node_;  // its content is guarded by state_->mutex
  const RemotePath path_;
  const OpenFlags flags_;
};

}  // namespace bt
