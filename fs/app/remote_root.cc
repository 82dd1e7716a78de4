#include "fs/app/remote_root.h"

#include <fmt/format.h>

namespace bt::app {
namespace {

constexpr std::string_view kWorkspace = "/b10/workspace";  // $BT_WORKING_DIR, unless the image has another

Result<bool> IsDirectory(const OpContext& ctx, RemoteFs& remote, const RemotePath& path) {
  auto attributes = remote.Stat(ctx, path);
  if (attributes) {
    return attributes->is_directory();
  }
  if (attributes.error().code == Code::kNotFound) {
    return false;
  }
  return std::move(attributes).error();
}

Result<std::string> DefaultDirectory(const OpContext& ctx, RemoteFs& remote, const RemotePath& start) {
  const RemotePath workspace = TRY(RemotePath::Parse(kWorkspace));
  return TRY(IsDirectory(ctx, remote, workspace)) ? workspace.text() : start.text();
}

Result<std::string> AbsoluteText(const OpContext& ctx, RemoteFs& remote, const RemotePath& start,
                                 std::string_view text) {
  if (text.starts_with('/')) {
    return std::string(text);
  }
  if (text == "~" || text.starts_with("~/")) {
    return fmt::format("{}{}", start.text(), text.substr(1));
  }
  std::string directory = TRY(DefaultDirectory(ctx, remote, start));
  return text.empty() ? directory : fmt::format("{}/{}", directory, text);
}

}  // namespace

Result<RemoteRoot> FindRemoteRoot(const OpContext& ctx, RemoteFs& remote, std::string_view text) {
  const RemotePath start = TRY(remote.RealPath(ctx, "."));
  const Attributes owner = TRY(remote.Stat(ctx, start));
  const std::string wanted = TRY(AbsoluteText(ctx, remote, start, text));

  auto canonical = remote.RealPath(ctx, wanted);
  auto attributes = canonical ? remote.Stat(ctx, *canonical) : Result<Attributes>(canonical.error());
  if (!attributes) {
    if (attributes.error().code == Code::kNotFound) {
      return Error{Code::kNotFound,
                   fmt::format("there is no {} in the container; leave the path away to mount its workspace", wanted),
                   "app.no-such-directory"};
    }
    return std::move(attributes).error().Within(wanted);
  }
  if (!attributes->is_directory()) {
    return Error{Code::kNotDirectory,
                 fmt::format("{} in the container is not a directory; name the directory that holds it", wanted),
                 "app.not-a-directory"};
  }
  return RemoteRoot{*canonical, owner.uid, owner.gid};
}

}  // namespace bt::app
