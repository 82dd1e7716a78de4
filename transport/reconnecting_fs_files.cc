// Opening, creating and copying: where ReconnectingFs makes and uses its files.
#include "transport/reconnecting_file.h"
#include "transport/reconnecting_fs.h"

namespace bt {

Result<OpenedFile> ReconnectingFs::Open(const OpContext& ctx, const RemotePath& path, const OpenFlags& flags,
                                        std::uint32_t permissions) {
  const auto announce_truncation = [&] {
    if (flags.truncate) {
      Announce(path, [](FileIdentity& identity) { identity.OnResize(0); });
    }
  };
  announce_truncation();
  const std::uint64_t announcements = announcements_.load();
  auto on = flags.create && flags.exclusive ? CreateExclusive(ctx, path, flags, permissions)
                                            : OpenRepeatedly(ctx, path, flags, permissions);
  if (!on) {
    announce_truncation();
    return std::move(on).error();
  }
  const Attributes attributes = on->opened.attributes;
  auto file = std::make_unique<ReconnectingFile>(*this, path, flags, on->connection, std::move(on->opened));
  if (announcements_.load() != announcements) {
    file->identity().OnOverlap();  // the attributes may be of before or after a change of ours
  }
  announce_truncation();  // once more: a read meanwhile may have seen the bytes of before
  return OpenedFile{std::move(file), attributes};
}

Result<ReconnectingFs::OpenedOn> ReconnectingFs::OpenRepeatedly(const OpContext& ctx, const RemotePath& path,
                                                                const OpenFlags& flags, std::uint32_t permissions) {
  const Link::Request under_way(link_);
  for (Losses losses;;) {
    const Connection connection = TRY(Acquire(ctx));
    const auto open = [&] { return connection.session->fs().Open(ctx, path, flags, permissions); };
    auto opened = flags.create || flags.truncate ? connection.Change(open) : open();
    if (opened) {
      return OpenedOn{connection, std::move(opened).value()};
    }
    if (losses.Decide(Operation::kOpen, opened.error()) == Verdict::kGiveUp &&
        !ReasonWasLost(connection, opened.error())) {
      return std::move(opened).error();
    }
    link_.ReportLost(connection.generation, opened.error());
  }
}

Result<ReconnectingFs::OpenedOn> ReconnectingFs::CreateExclusive(const OpContext& ctx, const RemotePath& path,
                                                                 const OpenFlags& flags, std::uint32_t permissions) {
  std::optional<OpenedOn> created;
  Status made = Mutate(
      ctx, Operation::kCreateExclusive,
      [&](const Connection& connection) -> Status {
        OpenedFile opened = TRY(connection.session->fs().Open(ctx, path, flags, permissions));
        created = OpenedOn{connection, std::move(opened)};
        return {};
      },
      [&]() -> Result<Outcome> {
        const auto there = TRY(LookAt(ctx, path));
        if (!there) {
          return Outcome::kNotDone;
        }
        // The kernel asked only because the name was free; an empty file with no more than the permissions asked for
        // is taken for ours.
        const bool ours = there->is_regular() && there->size == 0 && (there->mode & 07777U & ~permissions) == 0;
        return ours ? Outcome::kDone : Outcome::kCannotTell;
      });
  TRY(std::move(made));
  if (created) {
    return std::move(*created);
  }
  OpenFlags existing = flags;
  existing.create = false;
  existing.exclusive = false;
  return OpenRepeatedly(ctx, path, existing, permissions);
}

Result<std::uint64_t> ReconnectingFs::CopyRange(const OpContext& ctx, RemoteFile& from, std::uint64_t from_offset,
                                                RemoteFile& to, std::uint64_t to_offset, std::uint64_t length) {
  // Every file that this object hands out is one of its own kind.
  auto& source = static_cast<ReconnectingFile&>(from);
  auto& target = static_cast<ReconnectingFile&>(to);
  const Tell writing = [&](FileIdentity& identity) { identity.OnWrite(to_offset, length); };
  const Link::Request under_way(link_);
  Announce(target, writing);
  for (Losses losses;;) {
    const Connection connection = TRY(Acquire(ctx));
    auto copied = [&]() -> Result<std::uint64_t> {
      const ReconnectingFile::Handle source_handle = TRY(source.AcquireOn(ctx, connection));
      const ReconnectingFile::Handle target_handle = TRY(target.AcquireOn(ctx, connection));
      return connection.Change([&] {
        return connection.session->fs().CopyRange(ctx, *source_handle.file, from_offset, *target_handle.file, to_offset,
                                                  length);
      });
    }();
    if (copied || losses.Decide(Operation::kCopyRange, copied.error()) == Verdict::kGiveUp) {
      Announce(target, writing);
      return copied;
    }
    link_.ReportLost(connection.generation, copied.error());
  }
}

}  // namespace bt
