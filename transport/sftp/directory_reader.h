// Lists a directory of the server.
//
// Threading: as SftpClient.
#pragma once

#include <span>
#include <vector>

#include "transport/base/op_context.h"
#include "transport/remote_fs.h"
#include "transport/sftp/session.h"

namespace bt::sftp {

// See RemoteFs::ReadDirectory. One RT for OPENDIR; READDIRs follow in batches of 4, 8, 16 ... 64, the next batch on its
// way when half of the one before has been answered, so that short directories cost no needless requests and long ones
// fill the link. CLOSE is not waited for. All or nothing: a listing that breaks off is an error.
Result<std::vector<DirEntry>> ListDirectory(const OpContext& ctx, Session& session, const RemotePath& path);

// See RemoteFs::ReadDirectories.
Status ListDirectories(const OpContext& ctx, Session& session, std::span<const DirectoryQuery> queries,
                       std::size_t max_entries, const RemoteFs::Listed& listed);

}  // namespace bt::sftp
