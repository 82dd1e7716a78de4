// The algorithms that are offered to the server, in order of preference.
//
// Threading: belongs to the thread that owns the session.
#pragma once

#include <libssh2.h>

#include "transport/base/result.h"

namespace bt::ssh {

// Before the handshake.
Status OfferAlgorithms(LIBSSH2_SESSION* session);

}  // namespace bt::ssh
