// The one place where libssh2's codes become Errors.
//
// Threading: SessionError belongs to the thread that owns the session.
#pragma once

#include <libssh2.h>

#include <string>
#include <string_view>

#include "transport/base/error.h"

namespace bt::ssh {

// `status` is what a libssh2 call returned, `doing` what was tried: "opening a channel". The text holds libssh2's own
// words. Must not be called for LIBSSH2_ERROR_EAGAIN.
Error SessionError(LIBSSH2_SESSION* session, int status, std::string_view doing);

// Words of the server in a form fit for a message: one line, printable, at most 200 bytes.
std::string Printable(std::string_view text);

}  // namespace bt::ssh
