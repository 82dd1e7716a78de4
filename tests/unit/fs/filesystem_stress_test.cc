// Many threads doing many things at once, for the sanitizers; the bytes of each thread's own file must come out right.
#include <random>
#include <thread>

#include "tests/unit/fs/filesystem_fixture.h"

namespace bt {
namespace {

constexpr int kThreads = 6;
constexpr int kSteps = 300;
constexpr std::size_t kFileSize = 4000;

class Stress : public FilesystemTest {
 protected:
  // Writes, reads and truncates one file and compares with what it should hold.
  void WriteOwnFile(int id, unsigned seed) {
    std::mt19937 random(seed);
    const std::string name = "own-" + std::to_string(id);
    std::string expected;
    CreateReply created = CreateFile(name);
    FileHandle handle = created.open.handle;
    for (int step = 0; step < kSteps; ++step) {
      const std::size_t offset = random() % kFileSize;
      switch (random() % 6) {
        case 0: {
          std::string text(200, '?');
          const Result<std::size_t> count = fs().Read(Soon(), handle, offset, std::as_writable_bytes(std::span(text)));
          ASSERT_TRUE(count.ok());
          text.resize(*count);
          ASSERT_EQ(text, offset < expected.size() ? expected.substr(offset, 200) : "") << "seed " << seed;
          break;
        }
        case 1: {
          SetAttributesRequest request;
          request.size = offset;
          ASSERT_TRUE(fs().SetAttributes(Soon(), created.entry.inode, request, std::nullopt).ok());
          expected.resize(offset);
          break;
        }
        case 2: {
          ASSERT_TRUE(fs().Flush(Soon(), handle).ok());
          fs().Release(handle);
          const Result<OpenReply> open = fs().Open(Soon(), created.entry.inode, O_RDWR);
          ASSERT_TRUE(open.ok());
          handle = open->handle;
          break;
        }
        case 3: {
          const Result<AttributesReply> reply = fs().GetAttributes(Soon(), created.entry.inode, std::nullopt);
          ASSERT_TRUE(reply.ok());
          ASSERT_EQ(reply->attributes.st_size, static_cast<off_t>(expected.size())) << "seed " << seed;
          break;
        }
        default: {
          const std::string text(1 + random() % 300, static_cast<char>('a' + step % 26));
          ASSERT_TRUE(WriteText(handle, offset, text).ok());
          expected.resize(std::max(expected.size(), offset + text.size()));
          expected.replace(offset, text.size(), text);
        }
      }
    }
    ASSERT_TRUE(fs().Flush(Soon(), handle).ok());
    fs().Release(handle);
    EXPECT_EQ(remote_.ReadFile("/node/" + name), expected) << "seed " << seed;
  }

  // Works on names that the other threads use as well: anything may fail, nothing may break.
  void StirSharedNames(unsigned seed) {
    std::mt19937 random(seed);
    const auto name = [&random] { return "shared-" + std::to_string(random() % 4); };
    for (int step = 0; step < kSteps; ++step) {
      switch (random() % 7) {
        case 0: {
          const Result<CreateReply> created = fs().Create(Soon(), kRootInode, name(), 0644, O_RDWR);
          if (created.ok()) {
            (void)WriteText(created->open.handle, random() % 100, "shared");
            fs().Release(created->open.handle);
            fs().Forget(created->entry.inode, 1);
          }
          break;
        }
        case 1:
          (void)fs().Unlink(Soon(), kRootInode, name());
          break;
        case 2:
          (void)fs().Rename(Soon(), kRootInode, name(), kRootInode, name(), RenameMode::kReplace);
          break;
        case 3: {
          const Result<Entry> made = fs().MakeDirectory(Soon(), kRootInode, name(), 0755);
          if (made.ok()) {
            fs().Forget(made->inode, 1);
          }
          break;
        }
        case 4:
          (void)fs().RemoveDirectory(Soon(), kRootInode, name());
          break;
        case 5: {
          const Result<DirectoryHandle> handle = fs().OpenDirectory(Soon(), kRootInode);
          ASSERT_TRUE(handle.ok());
          ListSink sink;
          (void)fs().ReadDirectory(Soon(), *handle, 0, true, sink);
          for (const ListSink::Taken& entry : sink.taken) {
            fs().Forget(entry.inode, 1);
          }
          fs().ReleaseDirectory(*handle);
          break;
        }
        default: {
          const Result<Entry> entry = fs().Lookup(Soon(), kRootInode, name());
          if (entry.ok()) {
            (void)fs().GetAttributes(Soon(), entry->inode, std::nullopt);
            fs().Forget(entry->inode, 1);
          }
        }
      }
    }
  }
};

TEST_F(Stress, ManyThreadsAtOnce) {
  options_.write_threads = 4;
  options_.dirty_limit = 20'000;
  const unsigned seed = std::random_device{}();
  fs();
  {
    std::vector<std::jthread> threads;
    threads.reserve(kThreads);
    for (int id = 0; id < kThreads; ++id) {
      threads.emplace_back([this, id, seed] {
        if (id % 2 == 0) {
          WriteOwnFile(id, seed + static_cast<unsigned>(id));
        } else {
          StirSharedNames(seed + static_cast<unsigned>(id));
        }
      });
    }
  }
  ASSERT_TRUE(fs().FlushAll(Soon()).ok());
  EXPECT_EQ(fs().unwritten_bytes(), 0U);
  EXPECT_TRUE(fs().unwritten_files().empty());
  EXPECT_EQ(fs().lost_writes(), 0U);
  EXPECT_EQ(remote_.open_files(), 0U);
}

}  // namespace
}  // namespace bt
