// The dialect of INI that ~/.trussrc is written in: what Python's configparser.ConfigParser reads with its defaults.
//
// Not read with inih, which differs where it hurts: it cuts a value at " ;" (an inline comment to it, part of the value
// to Python), cuts lines at 200 bytes and section names at 50, does not merge [DEFAULT], and knows no "%"
// interpolation.
//
// Threading: plain values; parsing is pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "transport/base/result.h"

namespace bt::access {

class IniFile {
 public:
  // kConfig with the number of the line that is not understood; never its text, which may hold a key.
  // Strict, as Python: a section or a key given twice is an error.
  static Result<IniFile> Parse(std::string_view text);

  // Names in the order of the file, without DEFAULT. Case matters.
  const std::vector<std::string>& sections() const { return order_; }
  bool HasSection(const std::string& section) const { return sections_.contains(section); }

  // The value of `key` (in lower case) in `section`, else in DEFAULT, with %(name)s and %% resolved; kConfig when that
  // cannot be done. nullopt when there is none.
  Result<std::optional<std::string>> Get(const std::string& section, const std::string& key) const;

 private:
  friend class IniReader;
  using Values = std::map<std::string, std::string>;

  const std::string* Raw(const std::string& section, const std::string& key) const;
  Status Interpolate(const std::string& section, const std::string& key, std::string_view raw, int depth,
                     std::string& out) const;

  Values defaults_;
  std::map<std::string, Values> sections_;
  std::vector<std::string> order_;
};

}  // namespace bt::access
