#include "fs/symlink_text.h"

#include <algorithm>
#include <optional>
#include <vector>

namespace bt {

namespace {

using Components = std::vector<std::string_view>;

Components Split(std::string_view text) {
  Components components;
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find('/', begin), text.size());
    const std::string_view component = text.substr(begin, end - begin);
    if (!component.empty() && component != ".") {
      components.push_back(component);
    }
    begin = end + 1;
  }
  return components;
}

// Whether the walk through `components` ever climbs above where it began, as far as their text tells.
bool Climbs(const Components& components, std::size_t first) {
  std::size_t depth = 0;
  for (std::size_t i = first; i < components.size(); ++i) {
    if (components[i] != "..") {
      ++depth;
    } else if (depth-- == 0) {
      return true;
    }
  }
  return false;
}

// The components below the root, or nothing when the text leads elsewhere.
std::optional<Components> BelowRoot(std::string_view text, const Components& root) {
  Components components = Split(text);
  if (components.size() < root.size() || !std::equal(root.begin(), root.end(), components.begin()) ||
      Climbs(components, root.size())) {
    return std::nullopt;
  }
  components.erase(components.begin(), components.begin() + static_cast<std::ptrdiff_t>(root.size()));
  return components;
}

}  // namespace

std::string ShownSymlink(std::string_view text, const RemotePath& directory, const RemotePath& root) {
  if (text.empty() || text.front() != '/') {
    return std::string(text);
  }
  const Components root_components = Split(root.text());
  const std::optional<Components> target = BelowRoot(text, root_components);
  if (!target) {
    return std::string(kOutsideName) + std::string(text);
  }
  const Components all = Split(directory.text());
  const Components from(all.begin() + static_cast<std::ptrdiff_t>(root_components.size()), all.end());
  // ".." is never taken for common ground: behind a symlink it leads elsewhere.
  std::size_t common = 0;
  while (common < from.size() && common < target->size() && from[common] == (*target)[common]) {
    ++common;
  }
  std::string shown;
  const auto add = [&shown](std::string_view component) {
    if (!shown.empty()) {
      shown += '/';
    }
    shown += component;
  };
  for (std::size_t i = common; i < from.size(); ++i) {
    add("..");
  }
  for (std::size_t i = common; i < target->size(); ++i) {
    add((*target)[i]);
  }
  if (shown.empty()) {
    return ".";
  }
  // "dir/" demands a directory, so the slash keeps its meaning.
  if (text.size() > 1 && text.back() == '/') {
    shown += '/';
  }
  return shown;
}

std::string_view StoredSymlink(std::string_view text) {
  if (text.size() > kOutsideName.size() && text.starts_with(kOutsideName) && text[kOutsideName.size()] == '/') {
    return text.substr(kOutsideName.size());
  }
  return text;
}

}  // namespace bt
