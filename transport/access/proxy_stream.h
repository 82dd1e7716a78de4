// The stream to a container's sshd: TCP to the proxy, TLS, the JWT's frame, the proxy's yes.
//
// Threading: any thread. All block until the proxy has answered, ctx.deadline or ctx.cancel.
#pragma once

#include <chrono>
#include <memory>

#include "transport/access/api_replies.h"
#include "transport/access/ca_locations.h"
#include "transport/base/byte_stream.h"
#include "transport/base/op_context.h"

namespace bt::access {

struct ProxyOptions {
  bool insecure = false;  // BASETEN_SSH_PROXY_INSECURE: no TLS; the JWT travels in clear (logged as a warning)
  CaLocations ca;
  std::chrono::milliseconds connect_timeout{15'000};
  std::chrono::milliseconds answer_timeout{20'000};  // of the TLS handshake, and of the proxy's yes
};

// The two steps, of which the first needs no grant. Errors of both: kRefused (the proxy said no, or its certificate
// does not verify), kUnavailable (not reached, broken off, no answer within the options' times), kConfig, kTimedOut and
// kInterrupted (the context's).
Result<std::unique_ptr<ByteStream>> ConnectToProxy(const OpContext& ctx, const ProxyAddress& proxy,
                                                   const ProxyOptions& options);
// What follows the proxy's yes (sshd's banner) is in the stream.
Result<std::unique_ptr<ByteStream>> PresentGrant(const OpContext& ctx, std::unique_ptr<ByteStream> stream,
                                                 const Grant& grant, const ProxyOptions& options);

}  // namespace bt::access
