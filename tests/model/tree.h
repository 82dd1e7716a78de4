// What a program would see of operations on a tree of files: each answers with a text, so that two trees can be
// compared.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace bt::fault {

inline std::string ErrorName(int error) { return strerrorname_np(error); }

class Tree {
 public:
  explicit Tree(std::string root) : root_(std::move(root)) {}
  ~Tree() { CloseAll(); }
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;

  std::string At(const std::string& name) const { return root_ + "/" + name; }
  static std::string Said(long result) { return result >= 0 ? std::to_string(result) : ErrorName(errno); }

  std::string Open(const std::string& name, int flags) {
    const int fd = ::open(At(name).c_str(), flags | O_CLOEXEC, 0644);
    if (fd < 0) {
      return ErrorName(errno);
    }
    handles_.push_back({name, fd});
    if (handles_.size() > 12) {
      return Close(0);
    }
    return "opened";
  }
  std::string Close(std::size_t index) {
    const int result = ::close(handles_[index].fd);
    handles_.erase(handles_.begin() + static_cast<std::ptrdiff_t>(index));
    return "closed " + Said(result);
  }
  // Handles of files that lose their name do not outlive a connection, by promise: they are closed before.
  void CloseHandlesOf(const std::string& name) {
    for (std::size_t i = handles_.size(); i-- > 0;) {
      if (handles_[i].name == name || handles_[i].name.starts_with(name + "/")) {
        ::close(handles_[i].fd);
        handles_.erase(handles_.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
  }
  void Renamed(const std::string& from, const std::string& to) {
    for (Handle& handle : handles_) {
      if (handle.name == from || handle.name.starts_with(from + "/")) {
        handle.name = to + handle.name.substr(from.size());
      }
    }
  }
  void CloseAll() {
    while (!handles_.empty()) {
      Close(0);
    }
  }
  std::size_t handles() const { return handles_.size(); }
  int fd(std::size_t index) const { return handles_[index].fd; }

  std::string List(const std::string& name) const {
    DIR* directory = ::opendir(At(name).c_str());
    if (directory == nullptr) {
      return ErrorName(errno);
    }
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(directory)) {
      names.emplace_back(fmt::format("{}/{}", entry->d_name, static_cast<int>(entry->d_type)));
    }
    const int problem = errno;
    ::closedir(directory);
    std::sort(names.begin(), names.end());
    return problem == 0 ? fmt::format("{}", fmt::join(names, " ")) : ErrorName(problem);
  }
  std::string Stat(const std::string& name) const {
    struct stat found {};
    if (::lstat(At(name).c_str(), &found) != 0) {
      return ErrorName(errno);
    }
    return fmt::format("{:o} {}", found.st_mode, S_ISDIR(found.st_mode) ? 0 : found.st_size);
  }
  std::string ReadLink(const std::string& name) const {
    std::string text(200, '\0');
    const ssize_t length = ::readlink(At(name).c_str(), text.data(), text.size());
    return length < 0 ? ErrorName(errno) : text.substr(0, static_cast<std::size_t>(length));
  }
  static std::string Read(int fd, off_t offset, std::size_t length) {
    std::string bytes(length, '\0');
    const ssize_t got = ::pread(fd, bytes.data(), length, offset);
    if (got < 0) {
      return ErrorName(errno);
    }
    bytes.resize(static_cast<std::size_t>(got));
    return fmt::format("{} bytes, hash {}", got, std::hash<std::string>()(bytes));
  }

 private:
  struct Handle {
    std::string name;
    int fd;
  };
  const std::string root_;
  std::deque<Handle> handles_;
};

}  // namespace bt::fault
