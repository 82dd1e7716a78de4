#include "fs/fuse/reply.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <limits>
#include <utility>
#include <vector>

#include "fs/fuse/call.h"
#include "fs/fuse/convert.h"

namespace bt::fuse {
namespace {

// What programs meet every day is for debugging only; what tells of the link, of lost data or of a defect is for
// people.
spdlog::level::level_enum LevelOf(Code code) {
  switch (code) {
    case Code::kNotFound:
    case Code::kPermissionDenied:
    case Code::kNotPermitted:
    case Code::kExists:
    case Code::kNotEmpty:
    case Code::kNotDirectory:
    case Code::kIsDirectory:
    case Code::kReadOnly:
    case Code::kNameTooLong:
    case Code::kCrossDevice:
    case Code::kTooBig:
    case Code::kInvalid:
    case Code::kUnsupported:
    case Code::kLoop:
    case Code::kInterrupted:
      return spdlog::level::debug;
    case Code::kNoSpace:
    case Code::kQuota:
    case Code::kStale:
    case Code::kBadHandle:
    case Code::kTooManyHandles:
    case Code::kFailure:
    case Code::kTimedOut:
    case Code::kDisconnected:
    case Code::kProtocol:
    case Code::kUnavailable:
    case Code::kRefused:
    case Code::kNotRunning:
    case Code::kConfig:
      return spdlog::level::warn;
    case Code::kInternal:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

void OnInterrupt(fuse_req_t request, void* data) {
  auto& border = *static_cast<Border*>(fuse_req_userdata(request));
  border.interrupts.Interrupt(InterruptRegistry::Id{reinterpret_cast<std::uintptr_t>(data)});
}

}  // namespace

std::string Describe(const Subject& subject) {
  std::string text = fmt::format("{} #{}", subject.op, static_cast<std::uint64_t>(subject.inode));
  if (!subject.name.empty()) {
    text += '/';
    text += Printable(subject.name);
  }
  if (subject.range) {
    text += fmt::format(" @{}+{}", subject.range->offset, subject.range->length);
  }
  return text;
}

Reply::Reply(fuse_req_t request, Subject subject, ReplyCounters& counters)
    : request_(request), subject_(std::move(subject)), counters_(counters) {}

Reply::~Reply() {
  if (!answered()) {
    ++counters_.forgotten;
    Failed(Error{Code::kInternal, "the request was dropped without an answer", "reply.forgotten"});
  }
}

std::stop_token Reply::AllowInterrupt(InterruptRegistry& registry) {
  InterruptRegistry::Ticket ticket = registry.Register();
  registry_ = &registry;
  interrupt_id_ = ticket.id;
  // The interrupt may have overtaken its request: then the callback runs here and now.
  fuse_req_interrupt_func(request_, OnInterrupt,
                          reinterpret_cast<void*>(ticket.id));  // NOLINT(performance-no-int-to-ptr): never followed
  return std::move(ticket.token);
}

// Null when the request was answered before, which is a defect and must not reach libfuse.
fuse_req_t Reply::Take() {
  if (answered()) {
    spdlog::error("{}: answered twice [reply.twice]", bt::fuse::Describe(subject_));
    return nullptr;
  }
  if (registry_ != nullptr) {
    fuse_req_interrupt_func(request_, nullptr, nullptr);
    registry_->Unregister(interrupt_id_);
  }
  return std::exchange(request_, nullptr);
}

// `sent` is what libfuse says: 0, or a negative errno (ENOENT when the kernel has given up on the request).
bool Reply::Finish(int sent) {
  ++counters_.succeeded;
  LogDone();
  return sent == 0;
}

bool Reply::Failed(const Error& error) {
  fuse_req_t request = Take();
  if (request == nullptr) {
    return false;
  }
  ++counters_.failed;
  if (error.code == Code::kInterrupted) {
    ++counters_.interrupted;
  }
  fuse_reply_err(request, ToErrno(error.code));
  const auto level = LevelOf(error.code);
  if (spdlog::should_log(level)) {
    spdlog::log(level, "{}: {}", bt::fuse::Describe(subject_), bt::Describe(error));
  }
  return false;
}

bool Reply::Done(const Status& status) {
  if (!status.ok()) {
    return Failed(status.error());
  }
  fuse_req_t request = Take();
  return request != nullptr && Finish(fuse_reply_err(request, 0));
}

bool Reply::LookedUp(const Result<Entry>& entry, std::chrono::milliseconds negative_ttl) {
  if (entry.ok() || entry.error().code != Code::kNotFound || negative_ttl.count() == 0) {
    return Linked(entry);
  }
  fuse_req_t request = Take();
  if (request == nullptr) {
    return false;
  }
  fuse_entry_param absent{};
  absent.entry_timeout = ToSeconds(negative_ttl);
  Finish(fuse_reply_entry(request, &absent));
  return false;
}

bool Reply::Linked(const Result<Entry>& entry) {
  if (!entry.ok()) {
    return Failed(entry.error());
  }
  const fuse_entry_param param = ToEntryParam(*entry);
  fuse_req_t request = Take();
  return request != nullptr && Finish(fuse_reply_entry(request, &param));
}

bool Reply::Attributes(const Result<AttributesReply>& attributes) {
  if (!attributes.ok()) {
    return Failed(attributes.error());
  }
  fuse_req_t request = Take();
  return request != nullptr && Finish(fuse_reply_attr(request, &attributes->attributes, ToSeconds(attributes->ttl)));
}

bool Reply::Opened(const Result<OpenReply>& open) {
  if (!open.ok()) {
    return Failed(open.error());
  }
  fuse_file_info info{};
  info.fh = static_cast<std::uint64_t>(open->handle);
  info.keep_cache = open->keep_cache ? 1U : 0U;
  fuse_req_t request = Take();
  return request != nullptr && Finish(fuse_reply_open(request, &info));
}

bool Reply::OpenedDirectory(const Result<DirectoryHandle>& handle) {
  if (!handle.ok()) {
    return Failed(handle.error());
  }
  fuse_file_info info{};
  info.fh = static_cast<std::uint64_t>(*handle);
  fuse_req_t request = Take();
  return request != nullptr && Finish(fuse_reply_open(request, &info));
}

bool Reply::Created(const Result<CreateReply>& created) {
  if (!created.ok()) {
    return Failed(created.error());
  }
  const fuse_entry_param param = ToEntryParam(created->entry);
  fuse_file_info info{};
  info.fh = static_cast<std::uint64_t>(created->open.handle);
  info.keep_cache = created->open.keep_cache ? 1U : 0U;
  fuse_req_t request = Take();
  return request != nullptr && Finish(fuse_reply_create(request, &param, &info));
}

bool Reply::Target(const Result<std::string>& target) {
  if (!target.ok()) {
    return Failed(target.error());
  }
  fuse_req_t request = Take();
  return request != nullptr && Finish(fuse_reply_readlink(request, target->c_str()));
}

bool Reply::Data(const Result<std::size_t>& count, std::span<const std::byte> buffer) {
  if (!count.ok()) {
    return Failed(count.error());
  }
  const auto data = buffer.first(std::min(*count, buffer.size()));
  fuse_req_t request = Take();
  return request != nullptr && Finish(fuse_reply_buf(request, reinterpret_cast<const char*>(data.data()), data.size()));
}

bool Reply::Data(const SharedPieces& pieces) {
  std::vector<iovec> parts;
  parts.reserve(pieces.size());
  for (const SharedBytes& piece : pieces) {
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): iovec knows no const
    parts.push_back({const_cast<std::byte*>(piece.bytes.data()), piece.bytes.size()});
  }
  fuse_req_t request = Take();
  return request != nullptr && Finish(fuse_reply_iov(request, parts.data(), static_cast<int>(parts.size())));
}

bool Reply::Written(const Status& status, std::size_t count) {
  if (!status.ok()) {
    return Failed(status.error());
  }
  fuse_req_t request = Take();
  return request != nullptr && Finish(fuse_reply_write(request, count));
}

bool Reply::Copied(const Result<std::uint64_t>& count) {
  if (count.ok()) {
    return Written({}, static_cast<std::size_t>(*count));
  }
  if (count.error().code != Code::kUnsupported) {
    return Failed(count.error());
  }
  // The one ENOSYS: the kernel then copies by reading and writing, and does not ask again.
  fuse_req_t request = Take();
  if (request != nullptr) {
    ++counters_.failed;
    fuse_reply_err(request, ENOSYS);
  }
  return false;
}

bool Reply::Space(const Result<FsStats>& stats) {
  if (!stats.ok()) {
    return Failed(stats.error());
  }
  const struct statvfs values = ToStatvfs(*stats);
  fuse_req_t request = Take();
  return request != nullptr && Finish(fuse_reply_statfs(request, &values));
}

void Reply::None() {
  if (fuse_req_t request = Take(); request != nullptr) {
    ++counters_.succeeded;
    fuse_reply_none(request);
    LogDone();
  }
}

void Reply::LogDone() const {
  if (spdlog::should_log(spdlog::level::debug)) {
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begun_);
    spdlog::debug("{}: done after {} us", bt::fuse::Describe(subject_), took.count());
  }
}

}  // namespace bt::fuse
