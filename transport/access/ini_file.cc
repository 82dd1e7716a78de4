#include "transport/access/ini_file.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include <fmt/format.h>

namespace bt::access {
namespace {

constexpr std::string_view kSpace = " \t\n\r\f\v";
constexpr int kMaxInterpolationDepth = 10;  // as configparser

std::string_view TrimRight(std::string_view text) {
  const std::size_t last = text.find_last_not_of(kSpace);
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

std::string_view Trim(std::string_view text) {
  text = TrimRight(text);
  const std::size_t first = text.find_first_not_of(kSpace);
  return first == std::string_view::npos ? std::string_view() : text.substr(first);
}

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return lower;
}

Error Bad(std::size_t line, std::string_view what) {
  return Error{Code::kConfig, fmt::format("line {}: {}", line, what), "access.ini", Fate::kNotSent};
}

// One line, ended by "\n", "\r\n" or "\r", without its end.
std::string_view NextLine(std::string_view& rest) {
  const std::size_t end = rest.find_first_of("\r\n");
  const std::string_view line = rest.substr(0, end);
  if (end == std::string_view::npos) {
    rest = {};
  } else {
    rest.remove_prefix(end + (rest.substr(end).starts_with("\r\n") ? 2 : 1));
  }
  return line;
}

}  // namespace

// Follows configparser line by line: a line that is indented deeper than the key above it continues its value.
class IniReader {
 public:
  Status Line(std::string_view line) {
    ++number_;
    const std::string_view text = Trim(line);
    if (text.starts_with('#') || text.starts_with(';')) {
      return {};
    }
    if (text.empty()) {
      if (value_ != nullptr) {
        *value_ += '\n';  // blank lines belong to a value that goes on below them
      }
      return {};
    }
    const std::size_t indent = line.find_first_not_of(kSpace);
    if (value_ != nullptr && indent > indent_) {
      *value_ += '\n';
      *value_ += text;
      return {};
    }
    indent_ = indent;
    const std::size_t bracket = text.rfind(']');
    if (text.front() == '[' && bracket != std::string_view::npos && bracket > 1) {
      return Section(std::string(text.substr(1, bracket - 1)));
    }
    return KeyAndValue(text);
  }

  IniFile Finish() && {
    for (auto& [key, value] : file_.defaults_) {
      value = TrimRight(value);
    }
    for (auto& [name, values] : file_.sections_) {
      for (auto& [key, value] : values) {
        value = TrimRight(value);
      }
    }
    return std::move(file_);
  }

 private:
  Status Section(std::string name) {
    value_ = nullptr;
    section_ = name;
    if (name == "DEFAULT") {
      values_ = &file_.defaults_;
      return {};
    }
    const auto [place, is_new] = file_.sections_.try_emplace(name);
    if (!is_new) {
      return Bad(number_, fmt::format("the section [{}] is there twice", name));
    }
    values_ = &place->second;
    file_.order_.push_back(std::move(name));
    return {};
  }

  Status KeyAndValue(std::string_view text) {
    if (values_ == nullptr) {
      return Bad(number_, "there is no [section] above it");
    }
    const std::size_t delimiter = text.find_first_of("=:");
    const std::string key = LowerCase(TrimRight(text.substr(0, delimiter)));
    if (delimiter == std::string_view::npos || key.empty()) {
      return Bad(number_, "it is neither [section] nor key = value");
    }
    const auto [place, is_new] = values_->try_emplace(key, Trim(text.substr(delimiter + 1)));
    if (!is_new) {
      return Bad(number_, fmt::format("\"{}\" is there twice in [{}]", key, section_));
    }
    value_ = &place->second;
    return {};
  }

  IniFile file_;
  std::size_t number_ = 0;
  std::string section_;
  IniFile::Values* values_ = nullptr;                             // of the section being read
  std::string* value_ = nullptr;                                  // that a deeper line continues
  std::size_t indent_ = std::numeric_limits<std::size_t>::max();  // of the last line that was no continuation
};

Result<IniFile> IniFile::Parse(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) {
    text.remove_prefix(3);  // a byte order mark some editors leave; Python would refuse it
  }
  IniReader reader;
  while (!text.empty()) {
    TRY(reader.Line(NextLine(text)));
  }
  return std::move(reader).Finish();
}

const std::string* IniFile::Raw(const std::string& section, const std::string& key) const {
  if (const auto values = sections_.find(section); values != sections_.end()) {
    if (const auto found = values->second.find(key); found != values->second.end()) {
      return &found->second;
    }
  }
  const auto found = defaults_.find(key);
  return found == defaults_.end() ? nullptr : &found->second;
}

Result<std::optional<std::string>> IniFile::Get(const std::string& section, const std::string& key) const {
  const std::string* raw = Raw(section, key);
  if (raw == nullptr) {
    return std::optional<std::string>();
  }
  std::string value;
  TRY(Interpolate(section, key, *raw, 1, value));
  return std::optional<std::string>(std::move(value));
}

Status IniFile::Interpolate(const std::string& section, const std::string& key, std::string_view raw, int depth,
                            std::string& out) const {
  const auto bad = [&](std::string_view what) {
    return Error{Code::kConfig, fmt::format("\"{}\" in [{}]: {}", key, section, what), "access.ini", Fate::kNotSent};
  };
  if (depth > kMaxInterpolationDepth) {
    return bad("its %(...)s refer to each other without end");
  }
  while (!raw.empty()) {
    const std::size_t percent = raw.find('%');
    out += raw.substr(0, percent);
    if (percent == std::string_view::npos) {
      break;
    }
    raw.remove_prefix(percent + 1);
    if (raw.starts_with('%')) {
      out += '%';
      raw.remove_prefix(1);
      continue;
    }
    const std::size_t close = raw.find(')');
    if (!raw.starts_with('(') || close == std::string_view::npos || !raw.substr(close + 1).starts_with('s')) {
      return bad("a % in a value must be written %% (or be a %(name)s)");
    }
    const std::string name = LowerCase(raw.substr(1, close - 1));
    const std::string* other = Raw(section, name);
    if (other == nullptr) {
      return bad(fmt::format("it refers to \"{}\", which is not there", name));
    }
    // An expansion may double at each level: 10 levels of a line could fill the memory.
    if (out.size() > 1024U * 1024U) {
      return bad("it grows too long");
    }
    TRY(Interpolate(section, key, *other, depth + 1, out));
    raw.remove_prefix(close + 2);
  }
  return {};
}

}  // namespace bt::access
