// Keeps the secrets of this process (API key, JWT, private key) out of core files and debuggers.
#pragma once

namespace bt::app {

// Once, first thing in a process that will hold secrets.
void ForbidCoreDumps();

}  // namespace bt::app
