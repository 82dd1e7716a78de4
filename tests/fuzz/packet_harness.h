// Treats bytes as what a server sends: through the splitter and every decoder of replies.
#pragma once

#include <cstddef>
#include <span>

namespace bt::fuzz {

// Returns the number of whole messages seen. The bytes are fed twice, in one piece and in small ones, and must be cut
// the same way: a difference ends the process.
std::size_t FeedServerBytes(std::span<const std::byte> bytes);

}  // namespace bt::fuzz
