// A file that was opened for reading without asking the server: all of its bytes are known, and so is that the server
// lets them be read. The server's handle is opened when something is asked that only the handle can answer: which
// version it shows, or a change.
//
// By then the name may lead to another file. It is the same one if it shows the version that is known, if it was
// changed from here (then no name can have been taken from it: unlink and rename open the handle first), or if it
// begins with the bytes that are known: a log that grew. A file that the server does not have any more, or lets nobody
// open any more, stays what it was, as an open file does. Anything else is kStale: never the bytes of another file.
//
// Threading: any thread. Reading does not block while the bytes are good; what needs the handle takes 1 RT the first
// time, and 1 RT more for a file that grew.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "transport/base/sync.h"
#include "transport/remote_fs.h"

namespace bt {

class KnownFile final : public RemoteFile {
 public:
  using Bytes = std::shared_ptr<const std::vector<std::byte>>;
  struct Known {
    Attributes attributes;  // asked for after `asked_at`; `bytes` are all of this version
    TimePoint asked_at;
    Bytes bytes;
  };
  // Opens the file for reading where it is now.
  using OpenNow = std::function<Result<OpenedFile>(const OpContext& ctx)>;
  // `changed_at`: when this mount last changed the file. Both may be called from any thread.
  KnownFile(Known known, OpenNow open, std::function<TimePoint()> changed_at)
      : known_(std::move(known)), open_(std::move(open)), changed_at_(std::move(changed_at)) {}

  Result<std::size_t> Read(const OpContext& ctx, std::uint64_t offset, std::span<std::byte> out) override;
  Status Write(const OpContext& ctx, std::uint64_t offset, std::span<const std::byte> bytes) override;
  Result<Attributes> Stat(const OpContext& ctx) override;
  Status SetAttributes(const OpContext& ctx, const AttributeChange& change) override;
  Status Sync(const OpContext& ctx) override;

  // The server's handle, opened if it was not yet. kStale when there is none to be had.
  Result<RemoteFile*> Handle(const OpContext& ctx);
  // The handle behind `file`, whether it is one of these or not.
  static Result<RemoteFile*> HandleOf(const OpContext& ctx, RemoteFile& file);

 private:
  enum class Stage { kUnopened, kOpening, kOpened, kGone, kAnother };

  bool changed_from_here() const { return changed_at_() >= known_.asked_at; }
  Stage stage() const;
  struct Outcome {
    Stage stage;                     // never one of the first two
    std::optional<Attributes> seen;  // of the handle, if this call has opened it
  };
  // An error says nothing about the file.
  Result<Outcome> OpenOnce(const OpContext& ctx);
  Result<Stage> Judge(const OpContext& ctx, const Result<OpenedFile>& opened) const;
  Result<bool> BeginsAsKnown(const OpContext& ctx, RemoteFile& file) const;

  const Known known_;
  const OpenNow open_;
  const std::function<TimePoint()> changed_at_;

  mutable Mutex mutex_;
  CondVar opened_;
  Stage stage_ GUARDED_BY(mutex_) = Stage::kUnopened;
  std::unique_ptr<RemoteFile> handle_ GUARDED_BY(mutex_);
};

}  // namespace bt
