// Renames from here that are on their way to the server, and those of directories that have ended of late.
//
// Until the answer to a rename is here nobody can tell which path is the right one, so a request that found nothing at
// a path below it waits for its end and looks again (AwaitNone). And what a request finds at a path that is renamed
// meanwhile may be of another file, or incomplete: OpenSSH leaves out of a listing what it does not find at the path
// that the directory was opened by. So whoever keeps what came takes a Now() before the path, and does not believe an
// answer when the path was Touched() since.
//
// Threading: any thread. A leaf: only AwaitNone waits, and only for renames.
#pragma once

#include <cstdint>
#include <deque>
#include <list>

#include "transport/base/op_context.h"
#include "transport/base/sync.h"
#include "transport/remote_path.h"

namespace bt {

class Renames {
 private:
  struct Rename {
    RemotePath from;
    RemotePath to;
    bool Touches(const RemotePath& path) const { return from.Contains(path) || to.Contains(path); }
  };
  using UnderWay = std::list<Rename>;

 public:
  using Moment = std::uint64_t;
  enum class Kind { kFile, kDirectory };  // what is not known may be a directory

  // Lives from before the request is sent until after memory has the new paths.
  class Mark {
   public:
    Mark(Renames& renames, const RemotePath& from, const RemotePath& to, Kind kind);
    ~Mark();
    Mark(const Mark&) = delete;
    Mark& operator=(const Mark&) = delete;

   private:
    Renames& renames_;
    const Kind kind_;
    UnderWay::iterator at_;
  };

  // Until no rename of `path` or of a directory above it is in flight.
  Status AwaitNone(const OpContext& ctx, const RemotePath& path);

  Moment Now() const;
  // Whether `path` or a directory above it was or is being renamed, or replaced, since then. True when it was too many
  // renames ago to tell.
  bool Touched(const RemotePath& path, Moment since) const;

 private:
  mutable Mutex mutex_;
  CondVar ended_;
  UnderWay under_way_ GUARDED_BY(mutex_);
  std::deque<Rename> directories_ GUARDED_BY(mutex_);  // that have ended, the last one last
  Moment count_ GUARDED_BY(mutex_) = 0;                // of all directories that have
};

}  // namespace bt
