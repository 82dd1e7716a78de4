// Which directory of the container is mounted, and as whom the server acts.
//
// Threading: free functions; they block for the server as their context allows.
#pragma once

#include <string_view>

#include "transport/remote_fs.h"

namespace bt::app {

struct RemoteRoot {
  RemotePath path;        // canonical
  std::uint32_t uid = 0;  // of the user that the server runs as, by the owner of where it starts
  std::uint32_t gid = 0;
};

// `text` is what the user wrote after the colon: absolute, relative to the default directory, below "~", or empty for
// the default directory: /b10/workspace when there is one, else where the server starts.
// kNotFound and kNotDirectory say which path. 4 to 5 round trips.
Result<RemoteRoot> FindRemoteRoot(const OpContext& ctx, RemoteFs& remote, std::string_view text);

}  // namespace bt::app
