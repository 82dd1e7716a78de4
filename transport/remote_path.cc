#include "transport/remote_path.h"

#include <fmt/format.h>

namespace bt {

Result<Name> Name::Parse(std::string_view text) {
  if (text.empty() || text == "." || text == ".." || text.find('/') != std::string_view::npos ||
      text.find('\0') != std::string_view::npos) {
    return Error{Code::kInvalid, fmt::format("\"{}\" cannot be a file name", text), "path.name"};
  }
  if (text.size() > kMaxBytes) {
    return Error{Code::kNameTooLong, fmt::format("a name of {} bytes is longer than {}", text.size(), kMaxBytes),
                 "path.name-too-long"};
  }
  return Name(text);
}

Result<RemotePath> RemotePath::Parse(std::string_view text) {
  if (text.empty() || text.front() != '/') {
    return Error{Code::kInvalid, fmt::format("\"{}\" is not an absolute path", text), "path.relative"};
  }
  RemotePath path;
  std::size_t begin = 1;
  while (begin <= text.size()) {
    const std::size_t end = std::min(text.find('/', begin), text.size());
    const std::string_view component = text.substr(begin, end - begin);
    begin = end + 1;
    if (component.empty() || component == ".") {
      continue;
    }
    path = path / TRY(Name::Parse(component));
  }
  return path;
}

RemotePath RemotePath::parent() const {
  const std::size_t slash = text_.rfind('/');
  return slash == 0 ? RemotePath() : RemotePath(text_.substr(0, slash));
}

std::string_view RemotePath::basename() const { return std::string_view(text_).substr(text_.rfind('/') + 1); }

bool RemotePath::Contains(const RemotePath& other) const {
  return is_root() || other.text_ == text_ ||
         (other.text_.size() > text_.size() && other.text_.starts_with(text_) && other.text_[text_.size()] == '/');
}

RemotePath operator/(const RemotePath& directory, const Name& name) {
  std::string text;
  text.reserve(directory.text_.size() + 1 + name.text().size());
  if (!directory.is_root()) {
    text = directory.text_;
  }
  text += '/';
  text += name.text();
  return RemotePath(std::move(text));
}

}  // namespace bt
