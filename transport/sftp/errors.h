// SFTP status codes become Codes here, and nowhere else. What SSH_FX_FAILURE hides is found out by failure_diagnosis.
//
// Threading: pure functions.
#pragma once

#include <string_view>

#include "transport/base/result.h"
#include "transport/sftp/protocol.h"

namespace bt::sftp {

// The error of a STATUS reply other than OK. `message` is the server's text, kept (cleaned and shortened) for people.
Error StatusError(StatusCode status, std::string_view message);

// The server broke the protocol; whoever sees this error ends the channel.
Error Malformed(std::string_view what);

// `text` with control characters replaced and at most 200 bytes: fit for a log.
std::string Printable(std::string_view text);

}  // namespace bt::sftp
