// Which inode number means which path: the tree as far as the kernel, or an open file, refers to it.
//
// A node knows its parent and its own name, so renaming a directory moves everything below it for free. A node whose
// name is gone (unlinked, replaced) is *detached*: it has no path any more and lives until nobody refers to it; a new
// file of that name is a new inode. Inode numbers are never used twice.
//
// st_ino is a hash of the path at first sight, so that it is the same after the next mount (git compares it), is kept
// through renames, and is unlike that of every other inode alive.
//
// Threading: any thread. Never calls out.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "fs/inode.h"
#include "transport/base/sync.h"
#include "transport/remote_path.h"

namespace bt {

class InodeTable;

// Keeps an inode in the table whatever the kernel forgets. The table outlives it.
class InodePin {
 public:
  InodePin(InodePin&& other) noexcept : table_(std::exchange(other.table_, nullptr)), inode_(std::move(other.inode_)) {}
  InodePin& operator=(InodePin&&) = delete;
  InodePin(const InodePin&) = delete;
  InodePin& operator=(const InodePin&) = delete;
  ~InodePin();

  Inode* inode() const { return inode_.get(); }
  const std::shared_ptr<Inode>& share() const { return inode_; }

 private:
  friend class InodeTable;
  InodePin(InodeTable& table, std::shared_ptr<Inode> inode) : table_(&table), inode_(std::move(inode)) {}

  InodeTable* table_;
  std::shared_ptr<Inode> inode_;
};

class InodeTable {
 public:
  explicit InodeTable(RemotePath root);
  ~InodeTable();
  InodeTable(const InodeTable&) = delete;
  InodeTable& operator=(const InodeTable&) = delete;

  // kStale for a number that the table does not know (any more).
  Result<InodePin> Pin(InodeNo number);
  // kStale when detached or unknown.
  Result<RemotePath> PathOf(InodeNo number) const;
  // Where the inode is; nothing for the root, and when detached or unknown.
  struct Place {
    InodeNo parent{};
    Name name;
  };
  std::optional<Place> PlaceOf(InodeNo number) const;
  std::optional<InodeNo> ParentOf(InodeNo number) const;
  // For messages: the path, or the last one of a detached inode.
  std::string Describe(InodeNo number) const;
  bool detached(InodeNo number) const;
  // st_ino of the directory above; of the root its own.
  ino_t ParentShownNumber(InodeNo number) const;

  // What is known at a name, before the server is asked.
  struct Glimpse {
    std::shared_ptr<Inode> inode;  // null: nothing
    std::uint64_t sightings = 0;
  };
  Glimpse Glance(InodeNo parent, const Name& name) const;

  // The server has a file of this type at the name: its inode, with one lookup more. A known one of another type is
  // detached. kStale when the parent is unknown or detached.
  Result<std::shared_ptr<Inode>> LookUp(InodeNo parent, const Name& name, mode_t type);
  // The same with a pin instead of a lookup. kStale also when a file of another type is known there.
  Result<InodePin> PinAt(InodeNo parent, const Name& name, mode_t type);
  // The same for a file that was made just now: always a new inode.
  Result<std::shared_ptr<Inode>> Made(InodeNo parent, const Name& name, mode_t type);
  void Forget(InodeNo number, std::uint64_t lookups);

  // The name was removed from here.
  void Gone(InodeNo parent, const Name& name);
  // The server knows nothing at the name; believed unless the name was seen to exist since `before`.
  void GoneUnlessSeenSince(InodeNo parent, const Name& name, const Glimpse& before);
  // The file behind this inode is not there any more, or is another one.
  void Detach(InodeNo number);
  // Renamed on the server; what was at the new name is detached.
  void Moved(InodeNo parent, const Name& name, InodeNo new_parent, const Name& new_name);
  // Whether names were taken away from the directory at or after `then`, from here.
  bool LostNamesSince(InodeNo directory, TimePoint then) const;

  // st_ino that an inode at this name has, or would get.
  ino_t ShownNumber(InodeNo parent, const Name& name, mode_t type) const;

  std::size_t size() const;  // nodes, the root among them

 private:
  friend class InodePin;
  struct Node;

  Node* Find(InodeNo number) const REQUIRES(mutex_);
  Node* Child(InodeNo parent, const Name& name) const REQUIRES(mutex_);
  std::optional<RemotePath> Path(const Node& node) const REQUIRES(mutex_);
  Node& AddChild(Node& parent, const RemotePath& parent_path, const Name& name, mode_t type, TimePoint made_at)
      REQUIRES(mutex_);
  Result<std::shared_ptr<Inode>> Sighted(InodeNo parent, const Name& name, mode_t type, bool made) REQUIRES(mutex_);
  ino_t FreeShownNumber(const RemotePath& path) const REQUIRES(mutex_);
  static void TakeOut(Node& node);
  void DetachNode(Node& node) const REQUIRES(mutex_);
  void EraseIfUnused(Node* node) REQUIRES(mutex_);
  void Unpin(InodeNo number);

  const RemotePath root_;
  mutable Mutex mutex_;
  std::uint64_t last_number_ GUARDED_BY(mutex_);
  std::unordered_map<InodeNo, std::unique_ptr<Node>> nodes_ GUARDED_BY(mutex_);
  std::unordered_set<ino_t> shown_numbers_ GUARDED_BY(mutex_);
};

}  // namespace bt
