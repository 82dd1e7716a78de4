// Paths on the server that cannot be wrong, so that no std::string path crosses a layer.
//
// Name: one component: 1 to 255 bytes, any but '/' and NUL, neither "." nor "..".
// RemotePath: absolute and normalised: "/" or "/a/b": no empty, "." or ".." component, no trailing slash.
// Both are bytes, not text: SFTP v3 and POSIX give names no encoding.
//
// Threading: plain values, compared by bytes.
#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "transport/base/result.h"

namespace bt {

class Name {
 public:
  static constexpr std::size_t kMaxBytes = 255;  // NAME_MAX

  // kInvalid for what can be no name, kNameTooLong above kMaxBytes.
  static Result<Name> Parse(std::string_view text);

  const std::string& text() const { return text_; }
  auto operator<=>(const Name&) const = default;  // NOLINT(modernize-use-nullptr): 14 finds a 0 in it

 private:
  explicit Name(std::string_view text) : text_(text) {}
  std::string text_;
};

class RemotePath {
 public:
  RemotePath() : text_("/") {}  // the root

  // `text` must be absolute. Empty and "." components are dropped; ".." is kInvalid, since folding it away would be
  // wrong behind a symbolic link (let the server's realpath do it).
  static Result<RemotePath> Parse(std::string_view text);

  const std::string& text() const { return text_; }
  bool is_root() const { return text_.size() == 1; }
  RemotePath parent() const;          // of the root: the root
  std::string_view basename() const;  // of the root: ""

  // True for the path itself and everything below it.
  bool Contains(const RemotePath& other) const;

  auto operator<=>(const RemotePath&) const = default;  // NOLINT(modernize-use-nullptr): 14 finds a 0 in it

 private:
  friend RemotePath operator/(const RemotePath& directory, const Name& name);
  explicit RemotePath(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

RemotePath operator/(const RemotePath& directory, const Name& name);

}  // namespace bt
