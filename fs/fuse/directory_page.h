// One readdir or readdirplus reply, filled entry by entry up to the size the kernel asked for.
//
// Threading: one thread.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fs/filesystem.h"
#include "fs/fuse/libfuse.h"

namespace bt::fuse {

class DirectoryPage final : public DirectorySink {
 public:
  // `request` is only named to libfuse. `plus`: the reply is one of readdirplus.
  DirectoryPage(fuse_req_t request, std::size_t size, bool plus) : request_(request), plus_(plus), bytes_(size) {}

  // In a readdirplus reply: an entry that grants no lookup, such as "." and "..".
  bool Add(std::string_view name, const struct stat& attributes, off_t next) override;
  bool AddWithLookup(std::string_view name, const Entry& entry, off_t next) override;

  std::size_t size() const { return used_; }
  std::span<const std::byte> buffer() const { return bytes_; }

  // Gives the granted lookups back: the kernel did not take the reply.
  void ForgetAll(Filesystem& fs);

 private:
  bool Took(std::size_t needed);

  fuse_req_t request_;
  bool plus_;
  std::vector<std::byte> bytes_;
  std::size_t used_ = 0;
  std::vector<InodeNo> granted_;
  std::string name_;  // NUL-terminated for libfuse
};

}  // namespace bt::fuse
