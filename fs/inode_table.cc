#include "fs/inode_table.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace bt {

namespace {

std::uint64_t Digits(InodeNo number) { return static_cast<std::uint64_t>(number); }

Error Unknown(InodeNo number) {
  return Error{Code::kStale, fmt::format("the file behind inode {} is not there any more", Digits(number)),
               "fs.stale-inode"};
}

}  // namespace

struct InodeTable::Node {
  std::shared_ptr<Inode> inode;
  Node* parent = nullptr;    // null for the root and for detached nodes
  std::optional<Name> name;  // with a parent only
  std::map<Name, Node*> children;
  std::uint64_t lookups = 0;    // the kernel's
  std::uint64_t pins = 0;       // open files and directories
  std::uint64_t sightings = 0;  // grows each time the server had it
  std::string last_path;        // of a detached node, for messages
  TimePoint lost_names_at = TimePoint::min();
  // The last change from here of any child that was forgotten since: what was asked for before may be outdated.
  TimePoint forgotten_change = TimePoint::min();
};

InodePin::~InodePin() {
  if (table_ != nullptr) {
    table_->Unpin(inode_->number());
  }
}

InodeTable::InodeTable(RemotePath root) : root_(std::move(root)), last_number_(Digits(kRootInode)) {
  auto node = std::make_unique<Node>();
  MutexLock lock(mutex_);
  const ino_t shown = FreeShownNumber(root_);
  shown_numbers_.insert(shown);
  node->inode = std::make_shared<Inode>(kRootInode, shown, S_IFDIR);
  node->pins = 1;  // never given back
  nodes_.emplace(kRootInode, std::move(node));
}

InodeTable::~InodeTable() = default;

Result<InodePin> InodeTable::Pin(InodeNo number) {
  MutexLock lock(mutex_);
  Node* node = Find(number);
  if (node == nullptr) {
    return Unknown(number);
  }
  ++node->pins;
  return InodePin(*this, node->inode);
}

void InodeTable::Unpin(InodeNo number) {
  MutexLock lock(mutex_);
  Node* node = Find(number);
  --node->pins;
  EraseIfUnused(node);
}

Result<RemotePath> InodeTable::PathOf(InodeNo number) const {
  MutexLock lock(mutex_);
  const Node* node = Find(number);
  std::optional<RemotePath> path = node == nullptr ? std::nullopt : Path(*node);
  if (!path) {
    return Unknown(number);
  }
  return *std::move(path);
}

std::optional<InodeTable::Place> InodeTable::PlaceOf(InodeNo number) const {
  MutexLock lock(mutex_);
  const Node* node = Find(number);
  if (node == nullptr || node->parent == nullptr) {
    return std::nullopt;
  }
  return Place{node->parent->inode->number(), *node->name};
}

std::optional<InodeNo> InodeTable::ParentOf(InodeNo number) const {
  MutexLock lock(mutex_);
  const Node* node = Find(number);
  return node == nullptr || node->parent == nullptr ? std::nullopt : std::optional(node->parent->inode->number());
}

Result<InodePin> InodeTable::PinAt(InodeNo parent, const Name& name, mode_t type) {
  MutexLock lock(mutex_);
  const Node* known = Child(parent, name);
  if (known != nullptr && known->inode->type() != type) {
    return Unknown(known->inode->number());
  }
  std::shared_ptr<Inode> inode = TRY(Sighted(parent, name, type, /*made=*/false));
  Node* node = Find(inode->number());
  --node->lookups;
  ++node->pins;
  return InodePin(*this, std::move(inode));
}

std::string InodeTable::Describe(InodeNo number) const {
  MutexLock lock(mutex_);
  const Node* node = Find(number);
  if (node == nullptr) {
    return fmt::format("inode {}", Digits(number));
  }
  const std::optional<RemotePath> path = Path(*node);
  if (path) {
    return path->text();
  }
  return node->last_path.empty() ? "a removed file" : node->last_path;
}

bool InodeTable::detached(InodeNo number) const {
  MutexLock lock(mutex_);
  const Node* node = Find(number);
  return node == nullptr || !Path(*node);
}

ino_t InodeTable::ParentShownNumber(InodeNo number) const {
  MutexLock lock(mutex_);
  const Node* node = Find(number);
  if (node == nullptr) {
    return 0;
  }
  return node->parent == nullptr ? node->inode->shown_number() : node->parent->inode->shown_number();
}

InodeTable::Glimpse InodeTable::Glance(InodeNo parent, const Name& name) const {
  MutexLock lock(mutex_);
  const Node* child = Child(parent, name);
  return child == nullptr ? Glimpse{} : Glimpse{child->inode, child->sightings};
}

Result<std::shared_ptr<Inode>> InodeTable::LookUp(InodeNo parent, const Name& name, mode_t type) {
  MutexLock lock(mutex_);
  return Sighted(parent, name, type, /*made=*/false);
}

Result<std::shared_ptr<Inode>> InodeTable::Made(InodeNo parent, const Name& name, mode_t type) {
  MutexLock lock(mutex_);
  return Sighted(parent, name, type, /*made=*/true);
}

Result<std::shared_ptr<Inode>> InodeTable::Sighted(InodeNo parent, const Name& name, mode_t type, bool made) {
  Node* directory = Find(parent);
  const std::optional<RemotePath> path = directory == nullptr ? std::nullopt : Path(*directory);
  if (!path) {
    return Unknown(parent);
  }
  Node* child = Child(parent, name);
  if (child != nullptr && (made || child->inode->type() != type)) {
    DetachNode(*child);
    EraseIfUnused(child);
    child = nullptr;
  }
  if (child == nullptr) {
    child = &AddChild(*directory, *path, name, type, made ? Clock::now() : TimePoint::min());
  }
  ++child->lookups;
  ++child->sightings;
  return child->inode;
}

void InodeTable::Forget(InodeNo number, std::uint64_t lookups) {
  MutexLock lock(mutex_);
  Node* node = Find(number);
  if (node == nullptr) {
    return;
  }
  node->lookups -= std::min(lookups, node->lookups);
  EraseIfUnused(node);
}

void InodeTable::Gone(InodeNo parent, const Name& name) {
  MutexLock lock(mutex_);
  Node* directory = Find(parent);
  if (directory != nullptr) {
    directory->lost_names_at = Clock::now();
  }
  Node* child = Child(parent, name);
  if (child != nullptr) {
    DetachNode(*child);
    EraseIfUnused(child);
    EraseIfUnused(Find(parent));
  }
}

void InodeTable::GoneUnlessSeenSince(InodeNo parent, const Name& name, const Glimpse& before) {
  MutexLock lock(mutex_);
  Node* child = Child(parent, name);
  if (child != nullptr && child->inode == before.inode && child->sightings == before.sightings) {
    DetachNode(*child);
    EraseIfUnused(child);
    EraseIfUnused(Find(parent));
  }
}

void InodeTable::Detach(InodeNo number) {
  MutexLock lock(mutex_);
  Node* node = Find(number);
  if (node != nullptr && node->parent != nullptr) {
    Node* parent = node->parent;
    DetachNode(*node);
    EraseIfUnused(node);
    EraseIfUnused(parent);
  }
}

void InodeTable::Moved(InodeNo parent, const Name& name, InodeNo new_parent, const Name& new_name) {
  MutexLock lock(mutex_);
  Node* from = Find(parent);
  Node* to = Find(new_parent);
  Node* moved = Child(parent, name);
  Node* replaced = Child(new_parent, new_name);
  const TimePoint now = Clock::now();
  for (Node* directory : {from, to}) {
    if (directory != nullptr) {
      directory->lost_names_at = now;
    }
  }
  if (moved != nullptr && moved == replaced) {
    return;
  }
  if (replaced != nullptr) {
    DetachNode(*replaced);
    EraseIfUnused(replaced);
  }
  if (moved == nullptr) {
    EraseIfUnused(to);
    return;
  }
  if (to == nullptr) {
    DetachNode(*moved);
    EraseIfUnused(moved);
  } else {
    TakeOut(*moved);
    moved->parent = to;
    moved->name = new_name;
    to->children.emplace(new_name, moved);
  }
  EraseIfUnused(from);
}

bool InodeTable::LostNamesSince(InodeNo directory, TimePoint then) const {
  MutexLock lock(mutex_);
  const Node* node = Find(directory);
  return node == nullptr || node->lost_names_at >= then;
}

ino_t InodeTable::ShownNumber(InodeNo parent, const Name& name, mode_t type) const {
  MutexLock lock(mutex_);
  const Node* child = Child(parent, name);
  if (child != nullptr && child->inode->type() == type) {
    return child->inode->shown_number();
  }
  const Node* directory = Find(parent);
  const std::optional<RemotePath> path = directory == nullptr ? std::nullopt : Path(*directory);
  return FreeShownNumber(path.value_or(RemotePath()) / name);
}

std::size_t InodeTable::size() const {
  MutexLock lock(mutex_);
  return nodes_.size();
}

InodeTable::Node* InodeTable::Find(InodeNo number) const {
  const auto found = nodes_.find(number);
  return found == nodes_.end() ? nullptr : found->second.get();
}

InodeTable::Node* InodeTable::Child(InodeNo parent, const Name& name) const {
  const Node* directory = Find(parent);
  if (directory == nullptr) {
    return nullptr;
  }
  const auto found = directory->children.find(name);
  return found == directory->children.end() ? nullptr : found->second;
}

std::optional<RemotePath> InodeTable::Path(const Node& node) const {
  std::vector<const Name*> names;
  const Node* at = &node;
  while (at->parent != nullptr) {
    names.push_back(&*at->name);
    at = at->parent;
  }
  if (at->inode->number() != kRootInode) {
    return std::nullopt;
  }
  RemotePath path = root_;
  std::ranges::reverse(names);
  for (const Name* name : names) {
    path = path / *name;
  }
  return path;
}

InodeTable::Node& InodeTable::AddChild(Node& parent, const RemotePath& parent_path, const Name& name, mode_t type,
                                       TimePoint made_at) {
  const ino_t shown = FreeShownNumber(parent_path / name);
  const InodeNo number{++last_number_};
  auto node = std::make_unique<Node>();
  Node& added = *node;
  added.inode = std::make_shared<Inode>(number, shown, type, made_at);
  if (made_at == TimePoint::min()) {
    added.inode->ChangedBefore(parent.forgotten_change);
  }
  added.parent = &parent;
  added.name = name;
  shown_numbers_.insert(shown);
  nodes_.emplace(number, std::move(node));
  parent.children.emplace(name, &added);
  return added;
}

ino_t InodeTable::FreeShownNumber(const RemotePath& path) const {
  for (std::uint64_t salt = 0;; ++salt) {
    const ino_t shown = XXH3_64bits_withSeed(path.text().data(), path.text().size(), salt);
    // 0 means "deleted entry" to readers of directories.
    if (shown != 0 && !shown_numbers_.contains(shown)) {
      return shown;
    }
  }
}

void InodeTable::TakeOut(Node& node) {
  node.parent->children.erase(*node.name);
  node.parent = nullptr;
  node.name.reset();
}

// Erases nothing: the caller still holds on to the node and to its parent.
void InodeTable::DetachNode(Node& node) const {
  const std::optional<RemotePath> path = Path(node);
  if (path) {
    node.last_path = path->text();
  }
  TakeOut(node);
}

void InodeTable::EraseIfUnused(Node* node) {
  // A parent stays while its children need it for their paths, whatever the order in which the kernel forgets.
  while (node != nullptr && node->lookups == 0 && node->pins == 0 && node->children.empty()) {
    Node* parent = node->parent;
    if (parent != nullptr) {
      parent->forgotten_change = std::max(parent->forgotten_change, node->inode->last_change());
      TakeOut(*node);
    }
    shown_numbers_.erase(node->inode->shown_number());
    nodes_.erase(node->inode->number());
    node = parent;
  }
}

}  // namespace bt
