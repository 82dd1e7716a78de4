#include "fs/fuse/directory_page.h"

#include "fs/fuse/convert.h"

namespace bt::fuse {

bool DirectoryPage::Took(std::size_t needed) {
  if (needed > bytes_.size() - used_) {
    return false;  // libfuse wrote nothing
  }
  used_ += needed;
  return true;
}

bool DirectoryPage::Add(std::string_view name, const struct stat& attributes, off_t next) {
  name_ = name;
  char* const at = reinterpret_cast<char*>(bytes_.data()) + used_;
  const std::size_t room = bytes_.size() - used_;
  if (!plus_) {
    return Took(fuse_add_direntry(request_, at, room, name_.c_str(), &attributes, next));
  }
  fuse_entry_param param{};  // ino 0: the name and its type, nothing to remember
  param.attr = attributes;
  return Took(fuse_add_direntry_plus(request_, at, room, name_.c_str(), &param, next));
}

bool DirectoryPage::AddWithLookup(std::string_view name, const Entry& entry, off_t next) {
  name_ = name;
  char* const at = reinterpret_cast<char*>(bytes_.data()) + used_;
  const fuse_entry_param param = ToEntryParam(entry);
  if (!Took(fuse_add_direntry_plus(request_, at, bytes_.size() - used_, name_.c_str(), &param, next))) {
    return false;
  }
  granted_.push_back(entry.inode);
  return true;
}

void DirectoryPage::ForgetAll(Filesystem& fs) {
  for (const InodeNo inode : granted_) {
    fs.Forget(inode, 1);
  }
  granted_.clear();
}

}  // namespace bt::fuse
