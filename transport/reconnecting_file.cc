#include "transport/reconnecting_file.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace bt {
namespace {

// What an append without an answer is searched in: what others appended meanwhile.
constexpr std::uint64_t kAppendSearchLimit = 4U << 20U;
constexpr std::size_t kSmallestRequest = 4096;  // smaller limits@openssh.com are not believed

OpenFlags WithoutCreation(OpenFlags flags) {
  flags.create = false;
  flags.exclusive = false;
  flags.truncate = false;
  return flags;
}

bool IsLinkError(const Error& error) { return error.code == Code::kDisconnected || error.code == Code::kProtocol; }

}  // namespace

ReconnectingFile::ReconnectingFile(ReconnectingFs& fs, RemotePath path, const OpenFlags& flags,
                                   const Connection& connection, OpenedFile opened)
    : fs_(fs),
      reopen_flags_(WithoutCreation(flags)),
      identity_(opened.attributes),
      path_(std::move(path)),
      handle_{connection, std::move(opened.file)} {
  fs_.Add(this);
}

ReconnectingFile::~ReconnectingFile() { fs_.Remove(this); }

RemotePath ReconnectingFile::path() const {
  MutexLock lock(mutex_);
  return path_;
}

void ReconnectingFile::Moved(const RemotePath& from, const RemotePath& to) {
  MutexLock lock(mutex_);
  if (unlinked_) {
    return;
  }
  if (from.Contains(path_)) {
    // The tail below `from` keeps its text; a normalised path stays normalised.
    auto moved = RemotePath::Parse(to.text() + path_.text().substr(from.text().size()));
    if (moved) {
      path_ = std::move(moved).value();
    }
  } else if (path_ == to) {
    unlinked_ = true;  // replaced by the rename
  }
}

void ReconnectingFile::Unlinked() {
  MutexLock lock(mutex_);
  unlinked_ = true;
}

bool ReconnectingFile::At(const RemotePath& path) const {
  MutexLock lock(mutex_);
  return !unlinked_ && path_ == path;
}

ReconnectingFile::Handle ReconnectingFile::TakeOlderThan(std::uint64_t generation) {
  Handle old;
  MutexLock lock(mutex_);
  if (handle_.connection.generation < generation) {
    old.file = std::move(handle_.file);
    old.connection.session = std::move(handle_.connection.session);
  }
  return old;
}

Error ReconnectingFile::Stale(std::string_view why) {
  MutexLock lock(mutex_);
  if (!std::exchange(stale_, true)) {
    spdlog::warn("{}: this open file is stale: {}", path_.text(), why);
  }
  return Error{Code::kStale, fmt::format("{}: {}; open it again", path_.text(), why), "reconnect.stale"};
}

Error ReconnectingFile::Changed(std::string_view how) {
  return Stale(fmt::format("it was replaced or changed by somebody else while the link was down ({})", how));
}

Result<ReconnectingFile::Handle> ReconnectingFile::Acquire(const OpContext& ctx) {
  for (;;) {
    const Connection connection = TRY(fs_.Acquire(ctx));
    auto handle = AcquireOn(ctx, connection);
    if (handle || !IsLinkError(handle.error())) {
      return handle;
    }
    fs_.link_.ReportLost(connection.generation, handle.error());
  }
}

Result<ReconnectingFile::Handle> ReconnectingFile::AcquireOn(const OpContext& ctx, const Connection& connection) {
  {
    MutexLock lock(mutex_);
    while (reopening_ && !stale_) {
      TRY(ctx.Check());
      reopened_.Wait(mutex_, ctx);
    }
    if (stale_) {
      return Error{Code::kStale, fmt::format("{}: this open file is stale; open it again", path_.text()),
                   "reconnect.stale"};
    }
    if (handle_.connection.generation == connection.generation && handle_.file != nullptr) {
      return handle_;
    }
    reopening_ = true;
  }
  auto file = Reopen(ctx, connection);
  Handle old;
  MutexLock lock(mutex_);
  reopening_ = false;
  reopened_.NotifyAll();
  if (!file) {
    return std::move(file).error();
  }
  old = std::exchange(handle_, Handle{connection, std::move(file).value()});
  Handle now = handle_;
  lock.Unlock();  // the old handle is let go without the lock
  return now;
}

Result<std::shared_ptr<RemoteFile>> ReconnectingFile::Reopen(const OpContext& ctx, const Connection& connection) {
  // A rename that lost its reply has moved the file or not; only when it has looked is the path known.
  TRY(fs_.AwaitRenames(ctx, *this));
  RemotePath path;
  bool unlinked = false;
  std::uint64_t container = 0;
  {
    MutexLock lock(mutex_);
    path = path_;
    unlinked = unlinked_;
    container = handle_.connection.container;
  }
  if (unlinked) {
    return Stale("it was removed or replaced before the connection was lost");
  }
  if (container != connection.container) {
    return Stale("another container answers now");
  }
  RemoteFs& remote = connection.session->fs();
  auto opened = remote.Open(ctx, path, reopen_flags_, 0);
  if (!opened) {
    if (opened.error().code == Code::kNotFound) {
      // A rename of this mount may have overtaken the question: then it is there under its new name.
      TRY(fs_.AwaitRenames(ctx, *this));
      if (this->path() != path) {
        return Reopen(ctx, connection);
      }
      return Stale("it is no longer there");
    }
    return std::move(opened).error();
  }
  if (Status same = CheckIdentity(ctx, remote, *opened->file, path, opened->attributes); !same) {
    return std::move(same).error();
  }
  return std::shared_ptr<RemoteFile>(std::move(opened->file));
}

Status ReconnectingFile::CheckIdentity(const OpContext& ctx, RemoteFs& remote, RemoteFile& file, const RemotePath& path,
                                       const Attributes& now) {
  const FileIdentity::Verdict verdict = identity_.Judge(now);
  switch (verdict.kind) {
    case FileIdentity::Verdict::Kind::kSame:
      return {};
    case FileIdentity::Verdict::Kind::kDifferent:
      return Changed(verdict.why);
    case FileIdentity::Verdict::Kind::kCompare:
      break;
  }
  OpenedFile readable;
  RemoteFile* source = &file;
  if (!reopen_flags_.read) {
    readable = TRY(remote.Open(ctx, path, OpenFlags{.read = true}, 0));
    source = readable.file.get();
  }
  for (const Fingerprint& print : verdict.fingerprints) {
    std::array<std::byte, Fingerprint::kMaxBytes> bytes;
    const std::size_t got = TRY(source->Read(ctx, print.offset, std::span(bytes).first(print.length)));
    if (!print.Matches(std::span(bytes).first(got))) {
      return Changed(fmt::format("its bytes at {}+{} are not those that were seen", print.offset, print.length));
    }
  }
  return {};
}

template <typename Call>
auto ReconnectingFile::Repeat(const OpContext& ctx, Operation operation, Call call)
    -> decltype(call(std::declval<RemoteFile&>())) {
  const Link::Request under_way(fs_.link_);
  for (Losses losses;;) {
    const Handle handle = TRY(Acquire(ctx));
    const auto ask = [&] { return call(*handle.file); };
    auto result = ChangesServer(operation) ? handle.connection.Change(ask) : ask();
    if (result.ok() || losses.Decide(operation, result.error()) == Verdict::kGiveUp) {
      return result;
    }
    fs_.link_.ReportLost(handle.connection.generation, result.error());
  }
}

Result<std::size_t> ReconnectingFile::Read(const OpContext& ctx, std::uint64_t offset, std::span<std::byte> out) {
  const std::uint64_t changes_before = identity_.changes();
  auto got = Repeat(ctx, Operation::kRead, [&](RemoteFile& file) { return file.Read(ctx, offset, out); });
  if (got) {
    identity_.OnRead(offset, out.first(*got), changes_before);
  }
  return got;
}

Status ReconnectingFile::Write(const OpContext& ctx, std::uint64_t offset, std::span<const std::byte> bytes) {
  if (reopen_flags_.append) {
    return Append(ctx, bytes);
  }
  const auto writing = [&](FileIdentity& identity) { identity.OnWrite(offset, bytes.size()); };
  fs_.Announce(*this, writing);
  Status written = Repeat(ctx, Operation::kWrite, [&](RemoteFile& file) { return file.Write(ctx, offset, bytes); });
  fs_.Announce(*this, [&](FileIdentity& identity) {
    writing(identity);
    if (written) {
      identity.OnReaches(offset + bytes.size());
    }
  });
  if (written) {
    identity_.OnWriteAcknowledged(offset, bytes);
  }
  return written;
}

Result<std::optional<Attributes>> ReconnectingFile::WriteAndChange(const OpContext& ctx, std::uint64_t offset,
                                                                   std::span<const std::byte> bytes,
                                                                   const AttributeChange& change) {
  if (reopen_flags_.append || change.size) {
    return RemoteFile::WriteAndChange(ctx, offset, bytes, change);
  }
  const auto doing = [&](FileIdentity& identity) {
    if (!bytes.empty()) {
      identity.OnWrite(offset, bytes.size());
    }
    ReconnectingFs::Changing(change)(identity);
  };
  fs_.Announce(*this, doing);
  // Done twice it ends in the same state: bytes at an offset, attributes to a value.
  auto done =
      Repeat(ctx, Operation::kWrite, [&](RemoteFile& file) { return file.WriteAndChange(ctx, offset, bytes, change); });
  fs_.Announce(*this, doing);
  if (done) {
    identity_.OnWriteAcknowledged(offset, bytes);
  }
  return done;
}

Status ReconnectingFile::Append(const OpContext& ctx, std::span<const std::byte> bytes) {
  const Link::Request under_way(fs_.link_);
  bool uncertain = false;
  std::uint64_t end = 0;  // of the file, at least, when the bytes were sent
  for (Losses losses; !bytes.empty();) {
    const Handle handle = TRY(Acquire(ctx));
    if (uncertain) {
      const std::size_t arrived = TRY(CountAppended(ctx, end, bytes));
      fs_.Announce(*this, [&](FileIdentity& identity) { identity.OnAppended(end, arrived); });
      bytes = bytes.subspan(arrived);
      uncertain = false;
      continue;
    }
    end = identity_.known_size();
    // Where they will land is the server's business: behind what is known, at the earliest.
    const auto writing = [&](FileIdentity& identity) {
      identity.OnWrite(end, bytes.size());
      identity.OnAppend();
    };
    fs_.Announce(*this, writing);
    Status written = handle.connection.Change([&] { return handle.file->Write(ctx, end, bytes); });
    if (written) {
      fs_.Announce(*this, [&](FileIdentity& identity) { identity.OnAppended(end, bytes.size()); });
      break;
    }
    const Verdict verdict = losses.Decide(Operation::kAppend, written.error());
    if (verdict == Verdict::kGiveUp) {
      return written;
    }
    uncertain = verdict == Verdict::kLook;
    fs_.link_.ReportLost(handle.connection.generation, written.error());
  }
  return {};
}

Result<std::size_t> ReconnectingFile::CountAppended(const OpContext& ctx, std::uint64_t from,
                                                    std::span<const std::byte> bytes) {
  const OpenedFile opened = TRY(fs_.Open(ctx, path(), OpenFlags{.read = true}, 0));
  const std::uint64_t added = opened.attributes.size - std::min(opened.attributes.size, from);
  if (added <= kAppendSearchLimit + bytes.size()) {
    std::vector<std::byte> tail(added);
    tail.resize(TRY(opened.file->Read(ctx, from, tail)));
    if (tail.size() <= bytes.size() && std::equal(tail.begin(), tail.end(), bytes.begin())) {
      return tail.size();  // nobody else appended: as much arrived as is there
    }
    if (std::search(tail.begin(), tail.end(), bytes.begin(), bytes.end()) != tail.end()) {
      return bytes.size();
    }
    // Others appended. A write is cut only between requests, and no request is smaller than this.
    const auto start = bytes.first(std::min<std::size_t>(bytes.size(), kSmallestRequest));
    if (std::search(tail.begin(), tail.end(), start.begin(), start.end()) == tail.end()) {
      return 0;
    }
  }
  return Error{
      Code::kFailure,
      fmt::format("{}: the link was lost during an append, and what others appended since hides whether it was "
                  "done",
                  path().text()),
      "reconnect.unknown-outcome", Fate::kUnknown};
}

Result<Attributes> ReconnectingFile::Stat(const OpContext& ctx) {
  auto attributes = Repeat(ctx, Operation::kFileStat, [&](RemoteFile& file) { return file.Stat(ctx); });
  return attributes;
}

Status ReconnectingFile::SetAttributes(const OpContext& ctx, const AttributeChange& change) {
  fs_.Announce(*this, ReconnectingFs::Changing(change));
  Status changed =
      Repeat(ctx, Operation::kSetAttributes, [&](RemoteFile& file) { return file.SetAttributes(ctx, change); });
  if (changed && change.size) {
    fs_.Announce(*this, [&](FileIdentity& identity) { identity.OnResized(*change.size); });
  }
  return changed;
}

Status ReconnectingFile::Sync(const OpContext& ctx) {
  return Repeat(ctx, Operation::kSync, [&](RemoteFile& file) { return file.Sync(ctx); });
}

}  // namespace bt
