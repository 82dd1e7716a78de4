// Reads one open file through what is known of its version: from memory, from the disk, ahead of the program.
//
// A version is (size, mtime). The handle itself is asked which version it shows, at most `freshness` before bytes are
// handed out, since the name may lead to another file by now. Versions are settled or not (transport/server_clock.h):
// bytes of a settled one are shared by all handles and kept on disk; those of an unsettled one serve this handle alone,
// and so does all that a handle reads once the file was changed from here: its size and times may have been set back.
//
// Threading: any thread. Close() at the end; what runs in the background keeps the reader alive.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>

#include "cache/block_key.h"
#include "cache/file_blocks.h"
#include "cache/path_epochs.h"
#include "transport/base/shared_bytes.h"
#include "transport/base/sync.h"
#include "transport/remote_fs.h"

namespace bt {

class ReadCache;

class FileReader : public std::enable_shared_from_this<FileReader> {
 public:
  // The handle, and what it showed when it was asked after `asked_at`.
  struct Opened {
    std::shared_ptr<RemoteFile> file;
    RemotePath path;
    Attributes attributes;
    TimePoint asked_at;
    // False where `file` asks the server for a handle only when it must; a file that stays open gets one.
    bool on_server = true;
    // When this mount last changed the file: what was known before is another version, also where the seconds of its
    // times do not show it. Called from any thread.
    std::function<TimePoint()> changed_at;
    // Of the path, from before it was opened. Nothing: what is read serves this handle alone.
    std::optional<PathEpochs::Epoch> epoch = std::nullopt;
    // Bytes were handed out while the version was not settled, and it is by now: whoever has kept them, as the kernel
    // does, may have others than the file has. Told its mtime. Called from any thread; may be empty.
    std::function<void(std::int64_t)> outlived = nullptr;
  };
  // What the filesystem knows of the file at the moment of a read.
  struct Known {
    std::optional<FileVersion> seen;  // at its name
    TimePoint seen_at = TimePoint::min();
    bool reachable = true;  // false: what is there must do
  };

  // Use ReadCache::Open().
  FileReader(ReadCache& cache, std::uint64_t id, Opened opened);
  ~FileReader();
  FileReader(const FileReader&) = delete;
  FileReader& operator=(const FileReader&) = delete;

  // Bytes read; fewer than asked only at the end of the file. Blocks: usually not at all, else 1 RT, and another when
  // it must be asked which version the file is.
  Result<std::size_t> Read(const OpContext& ctx, const Known& known, std::uint64_t offset, std::span<std::byte> out);
  // The same when memory can answer, without a copy; nothing otherwise. Does not block.
  std::optional<SharedPieces> ReadFromMemory(const Known& known, std::uint64_t offset, std::size_t length);

  struct Version {
    FileVersion version;
    std::optional<PathEpochs::Epoch> epoch;  // none: others may see other bytes of this version
    bool settled = false;
  };
  Version version() const;
  std::shared_ptr<FileBlocks> blocks() const { return view().blocks; }

  // No more reads come. Confirms in the background what the disk got.
  void Close();

  // From the cache's own thread: confirms what waits for it, gives back memory that nobody reads.
  void Tick(TimePoint now);

 private:
  struct View {
    std::shared_ptr<FileBlocks> blocks;
    TimePoint checked_at;
    bool settled = false;
  };

  View view() const;
  FileBlocks::Source source() const { return {id_, opened_.file, closed_.get_token()}; }
  // Whether something speaks against the view being the present version.
  bool Contradicted(const View& view, const Known& known) const;
  bool Sure(const View& view, const Known& known, TimePoint now) const;
  void NoteHandedOut(const View& view);
  // Sure, but not for long any more.
  bool SoonTooOld(const View& view, const Known& known, TimePoint now) const;
  Result<View> MakeSure(const OpContext& ctx, const Known& known, std::uint64_t offset, std::size_t length);
  // Asks the handle which version it shows. One asks, the others wait for his answer.
  Status Check(const OpContext& ctx);
  void CheckInBackground();
  void Saw(const OpContext& ctx, const Attributes& attributes, TimePoint asked_at);
  std::shared_ptr<FileBlocks> Settle(const OpContext& ctx, const FileVersion& version);

  ReadCache& cache_;
  const std::uint64_t id_;
  const Opened opened_;
  std::stop_source closed_;
  std::atomic<bool> unsettled_bytes_{false};  // were handed out, and nobody was told yet that they may be outlived

  mutable Mutex mutex_;
  CondVar checked_;
  bool checking_ GUARDED_BY(mutex_) = false;
  bool check_due_ GUARDED_BY(mutex_) = false;  // the pool has the task
  bool on_server_ GUARDED_BY(mutex_);
  TimePoint checked_at_ GUARDED_BY(mutex_);  // when the version was last asked for
  TimePoint first_seen_ GUARDED_BY(mutex_);  // when the first answer with this version was in
  bool settled_ GUARDED_BY(mutex_) = false;
  std::optional<PathEpochs::Epoch> epoch_ GUARDED_BY(mutex_);  // while bytes may be shared
  std::shared_ptr<FileBlocks> blocks_ GUARDED_BY(mutex_);
  std::shared_ptr<FileBlocks> grew_from_ GUARDED_BY(mutex_);  // the last settled version, while a longer one settles
};

}  // namespace bt
