// What the contract suite runs on: a RemoteFs and the server's side of it, looked at directly.
//
// Threading: one thread, except for fs().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <ostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "transport/remote_fs.h"

namespace bt::contract {

// The files as a process on the server sees them. What cannot be done fails the test.
class ServerSide {
 public:
  virtual ~ServerSide() = default;

  virtual void WriteFile(const RemotePath& path, std::string_view content) = 0;  // makes or replaces the content
  virtual void AppendFile(const RemotePath& path, std::string_view content) = 0;
  virtual void MakeDirectory(const RemotePath& path) = 0;
  virtual void MakeLink(const RemotePath& path, std::string_view target) = 0;  // symbolic
  virtual void Remove(const RemotePath& path) = 0;                             // with everything below
  virtual void Move(const RemotePath& from, const RemotePath& to) = 0;

  virtual bool Exists(const RemotePath& path) = 0;           // not followed
  virtual std::string ReadFile(const RemotePath& path) = 0;  // followed
  virtual Attributes Lstat(const RemotePath& path) = 0;      // must exist
  virtual FsStats StatFs(const RemotePath& path) = 0;
};

// Where backends differ although each keeps its promises, and why.
struct Traits {
  // Renaming a symbolic link with kNoReplace onto a dangling one fails as promised. OpenSSH's plain RENAME of anything
  // but a regular file asks stat(2) whether the target exists, and a dangling link does not, for stat(2).
  bool no_replace_sees_dangling_links = true;
  // Whether the suite may give files away; sftp-server needs root for it.
  bool can_change_owner = true;
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual RemoteFs& fs() = 0;
  virtual ServerSide& server() = 0;
  virtual RemotePath root() const = 0;  // an empty directory of this backend's own, canonical
  virtual Traits traits() const { return {}; }
};

// A backend that cannot be made fails every test that wants it, with the reason.
template <typename T>
T Must(Result<T> result) {
  if (!result.ok()) {
    throw std::runtime_error(Describe(result.error()));
  }
  return std::move(result).value();
}

struct BackendKind {
  std::string name;  // as in the test's name
  std::function<std::unique_ptr<Backend>()> make;

  friend void PrintTo(const BackendKind& kind, std::ostream* out) { *out << kind.name; }
};

// Servers with every extension, and the same without any.
std::vector<BackendKind> FullBackends();
std::vector<BackendKind> BareBackends();

}  // namespace bt::contract
