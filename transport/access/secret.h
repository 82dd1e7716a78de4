// A text that must not be seen: API key, JWT. It cannot be printed, formatted or compared by accident; Reveal() marks
// the few places that hand it on. Its memory is wiped when it goes.
//
// Threading: a value.
#pragma once

#include <cstddef>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace bt::access {

// Overwrites the text, its spare capacity included, and empties it.
void Wipe(std::string& text);

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string_view text);  // the caller wipes its own copy
  ~Secret();
  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;

  Secret Copy() const { return Secret(Reveal()); }
  bool empty() const { return size_ == 0; }
  std::string_view Reveal() const { return {bytes_.get(), size_}; }

 private:
  void Clear();

  std::unique_ptr<char[]> bytes_;  // on the heap, so that a move leaves nothing behind
  std::size_t size_ = 0;
};

std::ostream& operator<<(std::ostream&, const Secret&) = delete;

}  // namespace bt::access

template <>
struct fmt::formatter<bt::access::Secret> {
  formatter() = delete;
};
