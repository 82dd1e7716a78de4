// A RemoteFs in memory that behaves like OpenSSH's sftp-server on a POSIX file system, for tests. It passes the
// contract suite; FakeTree tells what it leaves out.
//
//   FakeRemoteFs fs;
//   fs.WriteFile("/data/a.txt", "hello");
//   fs.script().OnCall(2, FakeOp::kRead, Fault::NotDone());
//
// Threading: every method from any thread. Files may be destroyed after the file system.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/fake_remote_fs/fault_script.h"
#include "transport/remote_fs.h"

namespace bt {

struct FakeState;

class FakeRemoteFs : public RemoteFs {
 public:
  FakeRemoteFs();
  ~FakeRemoteFs() override;

  Result<Attributes> Lstat(const OpContext& ctx, const RemotePath& path) override;
  Result<Attributes> Stat(const OpContext& ctx, const RemotePath& path) override;
  Status SetAttributes(const OpContext& ctx, const RemotePath& path, const AttributeChange& change) override;
  Result<std::vector<DirEntry>> ReadDirectory(const OpContext& ctx, const RemotePath& path) override;
  Result<std::string> ReadLink(const OpContext& ctx, const RemotePath& path) override;
  Status MakeSymlink(const OpContext& ctx, const RemotePath& path, std::string_view target) override;
  Status MakeDirectory(const OpContext& ctx, const RemotePath& path, std::uint32_t permissions) override;
  Status RemoveFile(const OpContext& ctx, const RemotePath& path) override;
  Status RemoveDirectory(const OpContext& ctx, const RemotePath& path) override;
  Status Rename(const OpContext& ctx, const RemotePath& from, const RemotePath& to, RenameMode mode) override;
  Status MakeHardLink(const OpContext& ctx, const RemotePath& existing, const RemotePath& path) override;
  Result<OpenedFile> Open(const OpContext& ctx, const RemotePath& path, const OpenFlags& flags,
                          std::uint32_t permissions) override;
  Result<FsStats> StatFs(const OpContext& ctx, const RemotePath& path) override;
  Result<RemotePath> RealPath(const OpContext& ctx, std::string_view text) override;
  Result<std::uint64_t> CopyRange(const OpContext& ctx, RemoteFile& from, std::uint64_t from_offset, RemoteFile& to,
                                  std::uint64_t to_offset, std::uint64_t length) override;
  RemoteCapabilities capabilities() const override;

  FaultScript& script();

  // Everything is offered at first. What is switched off answers kUnsupported.
  void SetCapabilities(const RemoteCapabilities& capabilities);
  void SetStats(const FsStats& stats);
  // Whole seconds; called under the fake's lock. At first the clock stands still at kStartTime.
  void SetClock(std::function<std::int64_t()> now);
  void AdvanceClock(std::int64_t seconds);
  void SetUmask(std::uint32_t umask);                     // 022 at first
  void SetCreator(std::uint32_t uid, std::uint32_t gid);  // owner of what is created; 0, 0 at first
  void SetStart(std::string_view path);                   // where relative paths start; "/" at first
  std::size_t open_files() const;

  // The server's side: not logged, not subject to the script. What cannot be done ends the program, as a broken test.
  void WriteFile(std::string_view path, std::string_view content);  // makes or replaces, with missing directories
  void AppendFile(std::string_view path, std::string_view content);
  std::string ReadFile(std::string_view path) const;
  void MakeDirs(std::string_view path);
  void MakeLink(std::string_view path, std::string_view target);  // symbolic
  void Remove(std::string_view path);                             // with everything below
  void Move(std::string_view from, std::string_view to);
  void Change(std::string_view path, const AttributeChange& change);
  bool Exists(std::string_view path) const;              // not followed
  Attributes AttributesOf(std::string_view path) const;  // not followed

  static constexpr std::int64_t kStartTime = 1'700'000'000;

 private:
  const std::shared_ptr<FakeState> state_;
};

}  // namespace bt
