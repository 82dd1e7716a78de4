#pragma once

#include <memory>

#include "tests/contract/backend.h"

namespace bt::contract {

// The whole way to a container, by the stand-in of the service: API, TLS, proxy, SSH with a certificate, a real sshd
// and its sftp-server. One connection serves all tests of the program.
std::unique_ptr<Backend> MakeSshBackend();
// The same over several connections.
std::unique_ptr<Backend> MakeLanesBackend();

}  // namespace bt::contract
