// One file as the kernel knows it: its numbers, its type, what the server last said of it, and who has it open. Where
// it is in the tree is the InodeTable's business.
//
// Threading: any thread. Never calls out, so it may be used under other locks.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "cache/block_key.h"
#include "cache/file_reader.h"
#include "fs/filesystem.h"
#include "fs/hard_links.h"
#include "transport/attributes.h"
#include "transport/base/sync.h"

namespace bt {

class OpenFile;

class Inode {
 public:
  // `type` is one of S_IFMT; `shown_number` is st_ino; `made_at` is when the file itself was made, if from here.
  Inode(InodeNo number, ino_t shown_number, mode_t type, TimePoint made_at = TimePoint::min())
      : number_(number), shown_number_(shown_number), type_(type), made_at_(made_at) {}
  ~Inode() = default;
  Inode(const Inode&) = delete;
  Inode& operator=(const Inode&) = delete;

  InodeNo number() const { return number_; }
  ino_t shown_number() const { return shown_number_; }
  mode_t type() const { return type_; }
  bool is_directory() const { return S_ISDIR(type_); }

  // Attributes of the server with our own changes on top, good enough to answer a change with.
  struct Sight {
    Attributes attributes;
    TimePoint asked_at;
  };

  // The server's answer to a question that was sent after `asked_at`. Ignored when something was changed here since,
  // for nobody can tell which came first.
  void Saw(TimePoint asked_at, const Attributes& attributes);
  // What is known completely and was asked for at most `max_age` ago.
  std::optional<Sight> LastSeen(Duration max_age) const;
  // The same, and it came behind our own last write.
  std::optional<Sight> SeenBehindWrite(Duration max_age) const;
  // However old and incomplete: for when nobody can be asked.
  std::optional<Sight> LastKnown() const;
  // The server's own word, untouched by changes from here since; however old.
  std::optional<Sight> LastAnswer() const;
  // The server has carried out `change`: the attributes after it, when they are known.
  std::optional<Sight> Changed(const AttributeChange& change, Duration max_age);
  // Something else was changed from here.
  void ChangedSomehow();
  // A name in this directory was made or removed from here, which moves its times by the server's clock.
  void NamesChanged();
  // A file was changed from here before this inode of it was made.
  void ChangedBefore(TimePoint then);
  // When something was changed from here the last time, through any of its names, its making included.
  TimePoint last_change() const;
  // Whether an answer to a question sent at `asked_at` may already be outdated by ourselves.
  bool ChangedSince(TimePoint asked_at) const;

  // The file is opened at `version`: whether the kernel may keep the pages it has of it. They must be of the same
  // version and epoch, and must have been read when that was settled already (transport/server_clock.h).
  bool MayKeepPages(const FileReader::Version& version);

  // The kernel may have pages of the file that are older than it, though its size and time are those of `mtime`. The
  // kernel drops its pages when the time that it is shown changes, so nanoseconds count how often that was so: the
  // wire has none.
  void PagesOutlived(std::int64_t mtime);
  long outlived_pages(std::int64_t mtime) const;

  // What the kernel is told of the file, and whether it was told this last.
  void Shown(const FileVersion& version) const;
  bool WasShown(const FileVersion& version) const;

  // The server opened the file for reading when it showed these attributes; it would again while owner, group and
  // permissions are the same.
  void OpenedForReading(const Attributes& attributes);
  bool MayBeRead(const Attributes& attributes) const;

  // A write up to `end` was taken from a program (an appending one ends where the server says), and `count` of those
  // were acknowledged or failed.
  void WriteAccepted(std::uint64_t end, bool append);
  // A change that travels with the writes was promised to a program: the attributes after it, as far as known. `change`
  // has no size. Counts like a write.
  std::optional<Sight> ChangeAccepted(const AttributeChange& change);
  // `changes` of the `count` were changes. `seen`: what the server said behind the last of them, which was sent at
  // `sent_at`.
  void WritesDone(unsigned count, unsigned changes, bool success, const std::optional<Attributes>& seen = {},
                  TimePoint sent_at = TimePoint::min());
  // Puts changes that were promised to programs onto the server's answer to a question sent at `asked_at`, as far as
  // the server may have answered before it carried them out.
  void ApplyPromised(TimePoint asked_at, Attributes& attributes) const;

  // Another name of the file: from now on a change through one counts for the other, too.
  static void Link(const std::shared_ptr<Inode>& one, const std::shared_ptr<Inode>& other);
  std::vector<std::shared_ptr<Inode>> OtherNames() const;
  bool linked() const;

  // st_size of a symlink whose text was rewritten, once the text is known.
  void SetShownLinkSize(std::uint64_t size);
  std::optional<std::uint64_t> shown_link_size() const;

  void Opened(const std::shared_ptr<OpenFile>& file);
  void Closed(const std::shared_ptr<OpenFile>& file);
  std::vector<std::shared_ptr<OpenFile>> OpenFiles() const;
  // Any open file of this inode, to reach it by handle when its name is gone. Null when there is none.
  std::shared_ptr<OpenFile> AnyOpenFile(bool writable) const;
  // Whether a program waits for what is appended to the file (OpenFile::followed).
  bool Followed() const;

 private:
  // False when what is known can no longer be built on.
  bool ApplyToSight(const AttributeChange& change) REQUIRES(mutex_);
  void CountOutlived(std::int64_t mtime) REQUIRES(mutex_);
  void NoteChange() REQUIRES(mutex_);
  void TellOtherNames() REQUIRES(mutex_);
  TimePoint ChangedElsewhere() const REQUIRES(mutex_);
  TimePoint LastChange() const REQUIRES(mutex_);    // through any name
  bool OutdatedElsewhere() const REQUIRES(mutex_);  // what is in sight_, which is there

  const InodeNo number_;
  const ino_t shown_number_;
  const mode_t type_;
  const TimePoint made_at_;

  mutable Mutex mutex_;
  std::optional<Sight> sight_ GUARDED_BY(mutex_);
  bool behind_write_ GUARDED_BY(mutex_) = false;
  bool times_known_ GUARDED_BY(mutex_) = false;  // a write moves mtime by the server's clock, which we do not see
  TimePoint last_change_ GUARDED_BY(mutex_) = TimePoint::min();
  std::uint64_t unacknowledged_ GUARDED_BY(mutex_) = 0;
  // What the kernel's pages were read from.
  std::optional<std::pair<FileVersion, PathEpochs::Epoch>> settled_pages_ GUARDED_BY(mutex_);
  struct Access {
    std::uint32_t mode = 0;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    bool operator==(const Access&) const = default;
  };
  std::optional<Access> readable_ GUARDED_BY(mutex_);  // with these the server let it be read
  mutable std::optional<FileVersion> shown_ GUARDED_BY(mutex_);
  std::int64_t outlived_mtime_ GUARDED_BY(mutex_) = 0;
  long outlived_count_ GUARDED_BY(mutex_) = 0;
  AttributeChange promised_ GUARDED_BY(mutex_);  // the last of each kind
  unsigned promised_pending_ GUARDED_BY(mutex_) = 0;
  TimePoint promised_done_at_ GUARDED_BY(mutex_) = TimePoint::min();
  std::optional<std::uint64_t> shown_link_size_ GUARDED_BY(mutex_);
  std::shared_ptr<HardLinks> links_ GUARDED_BY(mutex_);  // null for a file of one name
  std::vector<std::weak_ptr<OpenFile>> open_files_ GUARDED_BY(mutex_);
};

}  // namespace bt
