// A Filesystem over a FakeRemoteFs, mounted at "/node", and short words for what tests do with it.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fs/filesystem.h"
#include "tests/support/fake_remote_fs/fake_remote_fs.h"

namespace bt {

inline OpContext Soon() { return OpContext::WithTimeout(std::chrono::seconds(30)); }

inline std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

inline RemotePath PathOf(std::string_view text) { return RemotePath::Parse(text).value(); }

inline AttributeChange ModeChange(std::uint32_t permissions) {
  AttributeChange change;
  change.permissions = permissions;
  return change;
}
inline AttributeChange OwnerChange(std::uint32_t uid, std::uint32_t gid) {
  AttributeChange change;
  change.owner = AttributeChange::Owner{uid, gid};
  return change;
}
inline AttributeChange TimesChange(std::int64_t atime, std::int64_t mtime) {
  AttributeChange change;
  change.times = AttributeChange::Times{atime, mtime};
  return change;
}

// Takes up to `room` entries and remembers them.
class ListSink : public DirectorySink {
 public:
  struct Taken {
    std::string name;
    struct stat attributes;
    InodeNo inode{};
    std::chrono::milliseconds ttl{};
    off_t next = 0;
    bool with_lookup = false;
  };

  explicit ListSink(std::size_t room = SIZE_MAX) : room_(room) {}

  bool Add(std::string_view name, const struct stat& attributes, off_t next) override {
    return Take({std::string(name), attributes, InodeNo{}, {}, next, false});
  }
  bool AddWithLookup(std::string_view name, const Entry& entry, off_t next) override {
    return Take({std::string(name), entry.attributes, entry.inode, entry.ttl, next, true});
  }

  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const Taken& entry : taken) {
      names.push_back(entry.name);
    }
    return names;
  }
  const Taken& At(std::string_view name) const {
    const auto found = std::ranges::find(taken, name, &Taken::name);
    EXPECT_NE(found, taken.end()) << name;
    return *found;
  }

  std::vector<Taken> taken;

 private:
  bool Take(Taken entry) {
    if (taken.size() == room_) {
      return false;
    }
    taken.push_back(std::move(entry));
    return true;
  }

  std::size_t room_;
};

class FilesystemTest : public ::testing::Test {
 protected:
  FilesystemTest() {
    options_.root = PathOf("/node");
    options_.uid = 1000;
    options_.gid = 1000;
    options_.attribute_ttl = std::chrono::hours(1);  // no test depends on how fast it runs
    options_.listing_threads = 0;                    // nor on what is asked for in the background
    options_.just_closed_for = std::chrono::milliseconds(0);
    remote_.MakeDirs("/node");
  }

  Filesystem& fs() {
    if (!fs_) {
      fs_ = std::make_unique<Filesystem>(remote_, options_);
    }
    return *fs_;
  }
  void Remount() { fs_.reset(); }
  // Nothing is answered from memory. Before the first use of fs().
  void AskTheServer() { options_.attribute_ttl = std::chrono::milliseconds(0); }

  // Looks up one component after the other.
  Result<Entry> Look(std::string_view path) {
    Entry entry;
    entry.inode = kRootInode;
    while (!path.empty()) {
      const std::size_t slash = std::min(path.find('/'), path.size());
      entry = TRY(fs().Lookup(Soon(), entry.inode, path.substr(0, slash)));
      path.remove_prefix(std::min(slash + 1, path.size()));
    }
    return entry;
  }
  InodeNo InodeOf(std::string_view path) {
    const Result<Entry> entry = Look(path);
    EXPECT_TRUE(entry.ok()) << path;
    return entry.ok() ? entry->inode : InodeNo{};
  }
  FileHandle OpenPath(std::string_view path, int flags) {
    const Result<OpenReply> open = fs().Open(Soon(), InodeOf(path), flags);
    EXPECT_TRUE(open.ok()) << path;
    return open.ok() ? open->handle : FileHandle{};
  }
  CreateReply CreateFile(std::string_view name, int flags = O_RDWR, InodeNo parent = kRootInode) {
    Result<CreateReply> created = fs().Create(Soon(), parent, name, 0644, flags);
    EXPECT_TRUE(created.ok()) << name;
    return created.ok() ? *created : CreateReply{};
  }
  Status WriteText(FileHandle handle, std::uint64_t offset, std::string_view text) {
    return fs().Write(Soon(), handle, offset, Bytes(text));
  }
  std::string ReadText(FileHandle handle, std::uint64_t offset = 0, std::size_t length = 4096) {
    std::string text(length, '?');
    const Result<std::size_t> count = fs().Read(Soon(), handle, offset, std::as_writable_bytes(std::span(text)));
    EXPECT_TRUE(count.ok());
    text.resize(count.ok() ? *count : 0);
    return text;
  }
  struct stat Attributes(InodeNo inode) {
    const Result<AttributesReply> reply = fs().GetAttributes(Soon(), inode, std::nullopt);
    EXPECT_TRUE(reply.ok());
    struct stat nothing {};
    return reply.ok() ? reply->attributes : nothing;
  }

  FakeRemoteFs remote_;
  FilesystemOptions options_;

 private:
  std::unique_ptr<Filesystem> fs_;
};

template <typename T>
Code CodeOf(const Result<T>& result) {
  EXPECT_FALSE(result.ok());
  return result.ok() ? Code::kInternal : result.error().code;
}

}  // namespace bt
