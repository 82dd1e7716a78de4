// One complete listing of a directory, as the server gave it, with an index by name. A name that is not in it did not
// exist when it was taken.
//
// Threading: immutable.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "transport/attributes.h"
#include "transport/base/op_context.h"

namespace bt {

class Listing {
 public:
  // `asked_at`: before the server was asked. Of a name that is there twice the first entry is found.
  Listing(TimePoint asked_at, std::vector<DirEntry> entries);

  TimePoint asked_at() const { return asked_at_; }
  const std::vector<DirEntry>& entries() const { return entries_; }  // in the server's order
  const DirEntry* Find(std::string_view name) const;                 // null: not in it

 private:
  const TimePoint asked_at_;
  const std::vector<DirEntry> entries_;
  std::vector<std::uint32_t> slots_;  // a hash table with open addressing: index of an entry + 1, or 0
};

}  // namespace bt
