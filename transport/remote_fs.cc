#include "transport/remote_fs.h"

#include <utility>

namespace bt {

Status RemoteFs::ReadDirectories(const OpContext& ctx, std::span<const DirectoryQuery> queries, std::size_t max_entries,
                                 const Listed& listed) {
  for (std::size_t i = 0; i < queries.size(); ++i) {
    Result<std::vector<DirEntry>> entries = ReadDirectory(ctx, queries[i].path);
    if (!entries.ok()) {
      if (entries.error().fate != Fate::kAnswered) {
        return std::move(entries).error();
      }
      listed(i, std::move(entries).error());
    } else if (entries->size() > max_entries) {
      listed(i, Error{Code::kTooBig, "the directory has more entries than were asked for", "remote.directory-too-big"});
    } else {
      listed(i, DirectoryListing{std::move(entries).value(), std::nullopt});
    }
  }
  return {};
}

Status RemoteFs::LstatMany(const OpContext& ctx, std::span<const RemotePath> paths, const Seen& seen) {
  for (std::size_t i = 0; i < paths.size(); ++i) {
    Result<Attributes> attributes = Lstat(ctx, paths[i]);
    if (!attributes.ok() && attributes.error().fate != Fate::kAnswered) {
      return std::move(attributes).error();
    }
    seen(i, std::move(attributes));
  }
  return {};
}

}  // namespace bt
