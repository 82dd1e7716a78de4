// What readlink(2) shows of a symlink on the server (SymlinkPolicy::kContained).
//
// Relative texts are shown as they are. Absolute ones mean the server's tree: inside the mounted root they are
// rewritten relative to the link, outside they are shown below a name that no lookup ever finds, so that the target can
// be seen but following it ends in "Permission denied" instead of somewhere in the user's own machine.
//
// Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "transport/remote_path.h"

namespace bt {

inline constexpr std::string_view kOutsideName = ".outside-the-mount";

// `directory` is the one that holds the link; it lies inside `root`.
std::string ShownSymlink(std::string_view text, const RemotePath& directory, const RemotePath& root);

// The text to store for a link made here: a shown text of an outside link becomes the server's again, so that copying
// such a link within the mount keeps it. Everything else is as it is.
std::string_view StoredSymlink(std::string_view text);

}  // namespace bt
