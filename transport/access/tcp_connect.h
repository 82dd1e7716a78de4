// A TCP connection to a name, with a deadline and a cancel that work during name resolution too, trying IPv6 and IPv4
// side by side. libcurl does it: it has the resolver thread and the happy eyeballs already.
//
// Threading: any thread; blocks until connected, ctx.deadline or ctx.cancel.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "transport/base/op_context.h"
#include "transport/base/unique_fd.h"

namespace bt::access {

// Non-blocking, close-on-exec, tuned (socket_options.h). Proxies of the environment are not used. kUnavailable when
// there is no way to the peer within `timeout`.
Result<UniqueFd> TcpConnect(const OpContext& ctx, const std::string& host, std::uint16_t port,
                            std::chrono::milliseconds timeout);

}  // namespace bt::access
