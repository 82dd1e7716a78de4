#include "transport/remote_fs.h"

namespace bt {

Result<std::optional<Attributes>> RemoteFile::WriteAndChange(const OpContext& ctx, std::uint64_t offset,
                                                             std::span<const std::byte> bytes,
                                                             const AttributeChange& change) {
  if (!bytes.empty()) {
    TRY(Write(ctx, offset, bytes));
  }
  if (!change.empty()) {
    TRY(SetAttributes(ctx, change));
  }
  Result<Attributes> seen = Stat(ctx);
  if (seen.ok()) {
    return std::optional(*seen);
  }
  if (seen.error().fate == Fate::kAnswered) {
    return std::optional<Attributes>();
  }
  return std::move(seen).error();
}

}  // namespace bt
