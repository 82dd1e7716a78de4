#include "tests/support/fake_remote_fs/fake_tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace bt {
namespace {

constexpr std::size_t kMaxPath = 4095;  // PATH_MAX without its NUL
constexpr int kMaxLinks = 40;           // as Linux
constexpr std::uint32_t kPermissions = 07777;
constexpr std::uint64_t kMaxOffset = std::numeric_limits<std::int64_t>::max();

Error No(Code code, std::string_view path) {
  return Error{code, fmt::format("{}: {}", path, CodeName(code)), "fake.answer"};
}

// Pushes the components of `path` so that the first is popped first. A trailing slash asks for a directory, as "."
// does.
void PushComponents(std::string_view path, std::vector<std::string>& todo) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  while (begin < path.size()) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    if (end > begin) {
      parts.emplace_back(path.substr(begin, end - begin));
    }
    begin = end + 1;
  }
  if (path.ends_with('/')) {
    parts.emplace_back(".");
  }
  todo.insert(todo.end(), parts.rbegin(), parts.rend());
}

bool IsBelow(const FakeNode* node, const FakeNode* ancestor) {
  for (; node != nullptr; node = node->parent) {
    if (node == ancestor) {
      return true;
    }
  }
  return false;
}

}  // namespace

FakeTree::FakeTree() : root_(std::make_shared<FakeNode>()) { root_->mode = S_IFDIR | 0755U; }

Result<FakeTree::Place> FakeTree::Walk(std::string_view path, bool follow_last) const {
  if (path.size() > kMaxPath) {
    return No(Code::kNameTooLong, path);
  }
  std::vector<std::string> todo;
  PushComponents(path, todo);
  NodePtr at = root_;
  int links = 0;
  while (!todo.empty()) {
    const std::string name = std::move(todo.back());
    todo.pop_back();
    if (!at->is_directory()) {
      return No(Code::kNotFound, path);
    }
    if (name == ".") {
      continue;
    }
    if (name == "..") {
      at = at->parent == nullptr ? root_ : at->parent->shared_from_this();
      continue;
    }
    if (name.size() > Name::kMaxBytes) {
      return No(Code::kNameTooLong, path);
    }
    const bool last = todo.empty();
    const auto child = at->children.find(name);
    if (child == at->children.end()) {
      if (last) {
        return Place{at.get(), name, nullptr};
      }
      return No(Code::kNotFound, path);
    }
    if (child->second->is_symlink() && (!last || follow_last)) {
      if (++links > kMaxLinks) {
        return No(Code::kNotFound, path);
      }
      if (child->second->target.starts_with('/')) {
        at = root_;
      }
      PushComponents(child->second->target, todo);
      continue;
    }
    if (last) {
      return Place{at.get(), name, child->second};
    }
    at = child->second;
  }
  return Place{nullptr, "", at};
}

Result<FakeTree::NodePtr> FakeTree::Find(std::string_view path, bool follow) const {
  Place place = TRY(Walk(path, follow));
  if (place.node == nullptr) {
    return No(Code::kNotFound, path);
  }
  return std::move(place.node);
}

Result<FakeTree::Place> FakeTree::VacantPlace(const RemotePath& path) const {
  Place place = TRY(Walk(path.text(), false));
  if (place.node != nullptr) {
    return No(Code::kExists, path.text());
  }
  return place;
}

FakeTree::NodePtr FakeTree::Insert(const Place& place, std::uint32_t mode) {
  auto node = std::make_shared<FakeNode>();
  node->mode = mode;
  node->uid = uid;
  node->gid = gid;
  if ((place.parent->mode & S_ISGID) != 0) {
    node->gid = place.parent->gid;
    node->mode |= node->is_directory() ? static_cast<std::uint32_t>(S_ISGID) : 0U;
  }
  node->atime = node->mtime = now();
  Attach(*place.parent, place.name, node);
  return node;
}

void FakeTree::Attach(FakeNode& parent, const std::string& name, NodePtr node) {
  if (node->is_directory()) {
    node->parent = &parent;
    node->name = name;
  }
  parent.children[name] = std::move(node);
  parent.mtime = now();
}

void FakeTree::Detach(FakeNode& parent, const std::string& name) {
  parent.children.erase(name);
  parent.mtime = now();
}

std::string FakeTree::PathOf(const FakeNode& directory) const {
  std::string path;
  for (const FakeNode* node = &directory; node->parent != nullptr; node = node->parent) {
    path.insert(0, "/" + node->name);
  }
  return path.empty() ? "/" : path;
}

Result<FakeTree::NodePtr> FakeTree::Open(const RemotePath& path, const OpenFlags& flags, std::uint32_t permissions) {
  const bool exclusive = flags.create && flags.exclusive;
  Place place = TRY(Walk(path.text(), !exclusive));
  if (place.node == nullptr) {
    if (!flags.create) {
      return No(Code::kNotFound, path.text());
    }
    return Insert(place, S_IFREG | (permissions & kPermissions & ~umask));
  }
  if (exclusive) {
    return No(Code::kExists, path.text());
  }
  if (!place.node->is_regular()) {
    return No(Code::kIsDirectory, path.text());
  }
  if (flags.truncate) {
    AttributeChange empty;
    empty.size = 0;
    TRY(Change(*place.node, empty));
  }
  return std::move(place.node);
}

Result<std::vector<DirEntry>> FakeTree::List(const RemotePath& path) const {
  const NodePtr node = TRY(Find(path.text(), true));
  if (!node->is_directory()) {
    return No(Code::kNotDirectory, path.text());
  }
  std::vector<DirEntry> entries;
  entries.reserve(node->children.size());
  for (const auto& [name, child] : node->children) {
    entries.push_back(DirEntry{TRY(Name::Parse(name)), AttributesOf(*child)});
  }
  return entries;
}

Result<std::string> FakeTree::ReadLink(const RemotePath& path) const {
  const NodePtr node = TRY(Find(path.text(), false));
  if (!node->is_symlink()) {
    return No(Code::kInvalid, path.text());
  }
  return node->target;
}

Result<RemotePath> FakeTree::RealPath(std::string_view text) const {
  std::string absolute(text);
  if (!text.starts_with('/')) {
    absolute = start.text() + "/" + absolute;
  }
  // As OpenSSH: the last component may be missing.
  const Place place = TRY(Walk(absolute, true));
  if (place.parent == nullptr) {
    return RemotePath::Parse(PathOf(*place.node));
  }
  return TRY(RemotePath::Parse(PathOf(*place.parent))) / TRY(Name::Parse(place.name));
}

Status FakeTree::MakeDirectory(const RemotePath& path, std::uint32_t permissions) {
  const Place place = TRY(VacantPlace(path));
  // mkdir(2) takes the sticky bit but neither set-id bit.
  Insert(place, S_IFDIR | (permissions & 01777U & ~umask));
  return {};
}

Status FakeTree::MakeSymlink(const RemotePath& path, std::string_view target) {
  const Place place = TRY(VacantPlace(path));
  if (target.empty()) {
    return No(Code::kNotFound, path.text());
  }
  if (target.size() > kMaxPath) {
    return No(Code::kNameTooLong, path.text());
  }
  Insert(place, S_IFLNK | 0777U)->target = target;
  return {};
}

Status FakeTree::MakeHardLink(const RemotePath& existing, const RemotePath& path) {
  const NodePtr node = TRY(Find(existing.text(), false));
  const Place place = TRY(VacantPlace(path));
  if (node->is_directory()) {
    return No(Code::kPermissionDenied, existing.text());
  }
  Attach(*place.parent, place.name, node);
  return {};
}

Status FakeTree::RemoveFile(const RemotePath& path) {
  const Place place = TRY(Walk(path.text(), false));
  if (place.node == nullptr) {
    return No(Code::kNotFound, path.text());
  }
  if (place.node->is_directory()) {
    return No(Code::kIsDirectory, path.text());
  }
  Detach(*place.parent, place.name);
  return {};
}

Status FakeTree::RemoveDirectory(const RemotePath& path) {
  const Place place = TRY(Walk(path.text(), false));
  if (place.node == nullptr) {
    return No(Code::kNotFound, path.text());
  }
  if (!place.node->is_directory()) {
    return No(Code::kNotDirectory, path.text());
  }
  if (!place.node->children.empty()) {
    return No(Code::kNotEmpty, path.text());
  }
  if (place.parent == nullptr) {
    return No(Code::kFailure, path.text());  // EBUSY
  }
  Detach(*place.parent, place.name);
  return {};
}

Status FakeTree::Rename(const RemotePath& from, const RemotePath& to, RenameMode mode) {
  const Place source = TRY(Walk(from.text(), false));
  const Place target = TRY(Walk(to.text(), false));
  if (source.node == nullptr) {
    return No(Code::kNotFound, from.text());
  }
  if (mode == RenameMode::kNoReplace && target.node != nullptr) {
    return No(Code::kExists, to.text());
  }
  if (source.parent == nullptr || target.parent == nullptr) {
    return No(Code::kFailure, to.text());  // EBUSY
  }
  if (IsBelow(target.parent, source.node.get())) {
    return No(Code::kInvalid, to.text());
  }
  if (target.node == source.node) {
    return {};  // two names of one file: POSIX keeps both
  }
  if (target.node != nullptr) {
    if (source.node->is_directory() && !target.node->is_directory()) {
      return No(Code::kNotDirectory, to.text());
    }
    if (target.node->is_directory() && IsBelow(source.parent, target.node.get())) {
      return No(Code::kNotEmpty, to.text());
    }
    if (!source.node->is_directory() && target.node->is_directory()) {
      return No(Code::kIsDirectory, to.text());
    }
    if (!target.node->children.empty()) {
      return No(Code::kNotEmpty, to.text());
    }
  }
  Detach(*source.parent, source.name);
  Attach(*target.parent, target.name, source.node);
  return {};
}

Status FakeTree::Change(FakeNode& node, const AttributeChange& change) {
  constexpr std::int64_t kLastSecond = std::numeric_limits<std::uint32_t>::max();
  if (change.times && (std::min(change.times->atime, change.times->mtime) < 0 ||
                       std::max(change.times->atime, change.times->mtime) > kLastSecond)) {
    return No(Code::kInvalid, "SFTP has no such time");
  }
  // In the order in which sftp-server does it.
  if (change.size) {
    if (!node.is_regular()) {
      return No(node.is_directory() ? Code::kIsDirectory : Code::kUnsupported, "size");
    }
    if (*change.size > kMaxOffset) {
      return No(Code::kInvalid, "size");
    }
    node.content.Resize(*change.size);
    node.mtime = now();
  }
  if (change.permissions) {
    if (node.is_symlink()) {
      return No(Code::kUnsupported, "permissions of a symbolic link");
    }
    node.mode = (node.mode & S_IFMT) | (*change.permissions & kPermissions);
  }
  if (change.times) {
    node.atime = change.times->atime;
    node.mtime = change.times->mtime;
  }
  if (change.owner) {
    node.uid = change.owner->uid;
    node.gid = change.owner->gid;
    if (node.is_regular()) {
      node.mode &= ~static_cast<std::uint32_t>(S_ISUID);
      if ((node.mode & S_IXGRP) != 0) {
        node.mode &= ~static_cast<std::uint32_t>(S_ISGID);
      }
    }
  }
  return {};
}

Status FakeTree::Write(FakeNode& node, std::uint64_t offset, std::span<const std::byte> bytes) {
  if (bytes.empty()) {
    return {};
  }
  if (offset > kMaxOffset || bytes.size() > kMaxOffset - offset) {
    return No(Code::kInvalid, "offset");
  }
  node.content.Write(offset, bytes);
  node.mtime = now();
  return {};
}

Attributes FakeTree::AttributesOf(const FakeNode& node) {
  std::uint64_t size = node.content.size();
  if (node.is_directory()) {
    size = 4096;
  } else if (node.is_symlink()) {
    size = node.target.size();
  }
  return Attributes{size, node.uid, node.gid, node.mode, node.atime, node.mtime};
}

}  // namespace bt
