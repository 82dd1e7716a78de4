#pragma once

#include <memory>

#include "tests/contract/backend.h"

namespace bt::contract {

// SftpFs on a real OpenSSH sftp-server, without SSH. `bare`: the server is told to offer no extension.
std::unique_ptr<Backend> MakeSftpServerBackend(bool bare);

}  // namespace bt::contract
