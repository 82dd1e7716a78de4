// A POSIX file tree in memory, as root sees it through OpenSSH's sftp-server. Errors are those that an SFTP client can
// know: a path that runs through a file and a loop of symbolic links are kNotFound, since the server says no more.
// (Where a client can find out by a second look, the exact error is given: kNotDirectory for listing a file.)
//
// Not like a real server: permissions are stored and not enforced, nothing ever runs full, reading leaves the access
// time alone.
//
// Threading: one thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/fake_remote_fs/sparse_bytes.h"
#include "transport/remote_fs.h"

namespace bt {

struct FakeNode : std::enable_shared_from_this<FakeNode> {
  std::uint32_t mode = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::int64_t atime = 0;
  std::int64_t mtime = 0;
  SparseBytes content;  // of a regular file
  std::string target;   // of a symbolic link
  std::map<std::string, std::shared_ptr<FakeNode>, std::less<>> children;
  // Where a directory is, for ".." and canonical paths; null for the root.
  FakeNode* parent = nullptr;
  std::string name;

  bool is_directory() const { return S_ISDIR(mode); }
  bool is_regular() const { return S_ISREG(mode); }
  bool is_symlink() const { return S_ISLNK(mode); }
};

class FakeTree {
 public:
  using NodePtr = std::shared_ptr<FakeNode>;

  FakeTree();

  Result<NodePtr> Find(std::string_view path, bool follow) const;
  Result<NodePtr> Open(const RemotePath& path, const OpenFlags& flags, std::uint32_t permissions);
  Result<std::vector<DirEntry>> List(const RemotePath& path) const;
  Result<std::string> ReadLink(const RemotePath& path) const;
  Result<RemotePath> RealPath(std::string_view text) const;

  Status MakeDirectory(const RemotePath& path, std::uint32_t permissions);
  Status MakeSymlink(const RemotePath& path, std::string_view target);
  Status MakeHardLink(const RemotePath& existing, const RemotePath& path);
  Status RemoveFile(const RemotePath& path);
  Status RemoveDirectory(const RemotePath& path);
  Status Rename(const RemotePath& from, const RemotePath& to, RenameMode mode);

  Status Change(FakeNode& node, const AttributeChange& change);
  Status Write(FakeNode& node, std::uint64_t offset, std::span<const std::byte> bytes);
  static Attributes AttributesOf(const FakeNode& node);

  // Whole seconds since 1970; called for each change.
  std::function<std::int64_t()> now;
  std::uint32_t umask = 022;
  std::uint32_t uid = 0;  // of what is created
  std::uint32_t gid = 0;
  RemotePath start;  // where relative paths start

 private:
  // Where a path leads: `node` is null when only the last component is missing; `parent` is null when the path ends
  // in the root, "." or "..".
  struct Place {
    FakeNode* parent = nullptr;
    std::string name;
    NodePtr node;
  };

  Result<Place> Walk(std::string_view path, bool follow_last) const;
  // The place of something that is to be made: kExists when there is something.
  Result<Place> VacantPlace(const RemotePath& path) const;
  NodePtr Insert(const Place& place, std::uint32_t mode);
  void Attach(FakeNode& parent, const std::string& name, NodePtr node);
  void Detach(FakeNode& parent, const std::string& name);
  std::string PathOf(const FakeNode& directory) const;

  NodePtr root_;
};

}  // namespace bt
