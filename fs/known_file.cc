#include "fs/known_file.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace bt {

namespace {

Error Another() {
  return {Code::kStale, "the file was replaced on the server before it was needed again", "fs.file-replaced"};
}

bool SameVersion(const Attributes& a, const Attributes& b) { return a.size == b.size && a.mtime == b.mtime; }

// The server's word that the file cannot be opened any more; other errors tell nothing about it.
bool Refused(Code code) {
  return code == Code::kNotFound || code == Code::kStale || code == Code::kPermissionDenied ||
         code == Code::kIsDirectory || code == Code::kNotDirectory;
}

}  // namespace

Result<std::size_t> KnownFile::Read(const OpContext& ctx, std::uint64_t offset, std::span<std::byte> out) {
  const Stage at = stage();
  const bool as_known = at == Stage::kGone || at == Stage::kUnopened || at == Stage::kOpening;
  if (!as_known || (at != Stage::kGone && changed_from_here())) {
    return TRY(Handle(ctx))->Read(ctx, offset, out);
  }
  const std::vector<std::byte>& bytes = *known_.bytes;
  if (offset >= bytes.size()) {
    return std::size_t{0};
  }
  const std::size_t length = std::min<std::uint64_t>(out.size(), bytes.size() - offset);
  std::memcpy(out.data(), bytes.data() + offset, length);
  return length;
}

Status KnownFile::Write(const OpContext& ctx, std::uint64_t offset, std::span<const std::byte> bytes) {
  return TRY(Handle(ctx))->Write(ctx, offset, bytes);  // which is not open for that, and says so
}

Result<Attributes> KnownFile::Stat(const OpContext& ctx) {
  const Outcome outcome = TRY(OpenOnce(ctx));
  if (outcome.stage == Stage::kGone) {
    return known_.attributes;
  }
  if (outcome.stage == Stage::kOpened && outcome.seen) {
    return *outcome.seen;
  }
  return TRY(Handle(ctx))->Stat(ctx);
}

Status KnownFile::SetAttributes(const OpContext& ctx, const AttributeChange& change) {
  return TRY(Handle(ctx))->SetAttributes(ctx, change);
}

Status KnownFile::Sync(const OpContext& ctx) { return TRY(Handle(ctx))->Sync(ctx); }

Result<RemoteFile*> KnownFile::Handle(const OpContext& ctx) {
  if (TRY(OpenOnce(ctx)).stage != Stage::kOpened) {
    return Another();
  }
  MutexLock lock(mutex_);
  return handle_.get();
}

Result<RemoteFile*> KnownFile::HandleOf(const OpContext& ctx, RemoteFile& file) {
  auto* known = dynamic_cast<KnownFile*>(&file);
  return known == nullptr ? Result<RemoteFile*>(&file) : known->Handle(ctx);
}

KnownFile::Stage KnownFile::stage() const {
  MutexLock lock(mutex_);
  return stage_;
}

Result<KnownFile::Outcome> KnownFile::OpenOnce(const OpContext& ctx) {
  {
    MutexLock lock(mutex_);
    while (stage_ == Stage::kOpening) {
      TRY(ctx.Check());
      opened_.Wait(mutex_, ctx);
    }
    if (stage_ != Stage::kUnopened) {
      return Outcome{stage_, {}};
    }
    stage_ = Stage::kOpening;
  }
  Result<OpenedFile> opened = open_(ctx);
  const Result<Stage> judged = Judge(ctx, opened);
  Outcome outcome{Stage::kUnopened, {}};
  MutexLock lock(mutex_);
  stage_ = judged.ok() ? *judged : Stage::kUnopened;
  if (stage_ == Stage::kOpened) {
    handle_ = std::move(opened->file);
    outcome.seen = opened->attributes;
  }
  opened_.NotifyAll();
  if (!judged.ok()) {
    return judged.error();
  }
  outcome.stage = *judged;
  return outcome;
}

Result<KnownFile::Stage> KnownFile::Judge(const OpContext& ctx, const Result<OpenedFile>& opened) const {
  if (!opened.ok()) {
    return Refused(opened.error().code) ? Result<Stage>(Stage::kGone) : opened.error();
  }
  if (SameVersion(opened->attributes, known_.attributes) || changed_from_here()) {
    return Stage::kOpened;
  }
  const bool grew = opened->attributes.size > known_.attributes.size;
  return grew && TRY(BeginsAsKnown(ctx, *opened->file)) ? Stage::kOpened : Stage::kAnother;
}

Result<bool> KnownFile::BeginsAsKnown(const OpContext& ctx, RemoteFile& file) const {
  std::vector<std::byte> begin(known_.bytes->size());
  return TRY(file.Read(ctx, 0, begin)) == begin.size() && begin == *known_.bytes;
}

}  // namespace bt
