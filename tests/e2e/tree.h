// Files and trees: making them, describing them, and doing the same thing twice to compare.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace bt::e2e {

// Bytes without a pattern that a mistake could repeat; the same for the same seed.
std::string Noise(std::size_t size, std::uint64_t seed = 1);

// Plain and whole, by open, write and close; a failure fails the test.
void WriteFile(const std::filesystem::path& file, std::string_view bytes);
std::string ReadFile(const std::filesystem::path& file);

// One line an entry, sorted: path, type, permissions, owner, links, size, and content or target.
std::string Describe(const std::filesystem::path& directory);

// What an operation saw, as text to compare.
class Record {
 public:
  // A system call's answer: "what: ok", or the name of its errno. Gives the answer back.
  long Call(std::string_view what, long answer);
  void Value(std::string_view what, std::string_view value);
  void Value(std::string_view what, long long value);
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

using Operation = std::function<void(const std::filesystem::path& directory, Record& record)>;

// Does it in `direct`, and through the mount in `mounted`, whose place on the server is `mounted_on_server`; all three
// are made for it. What it saw, and what it left on the server, must be the same.
void ExpectSame(const std::filesystem::path& direct, const std::filesystem::path& mounted,
                const std::filesystem::path& mounted_on_server, const Operation& operation);

}  // namespace bt::e2e
