// Random operations against a reference: each is made on the mount and on a local directory, and must answer the same,
// while the link is cut at random. At the end both trees are the same, also as the server sees its own.
//
//   model_test [--ops=10000] [--seed=N] [--min-cut=300] [--max-cut=2000]     (milliseconds)
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <deque>
#include <iostream>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "tests/fault/fault_test.h"

namespace bt::fault {
namespace {

std::uint64_t g_ops = 10'000;
std::uint64_t g_seed = 0;
std::uint64_t g_min_cut = 300;
std::uint64_t g_max_cut = 2000;

std::string ErrorName(int error) { return strerrorname_np(error); }

// What a program would see of one operation; on a tree whose root is given.
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

// Both trees, and the next random operation.
class Walk {
 public:
  Walk(const std::string& mount, const std::string& local) : mounted_(mount), reference_(local) {}

  // What the two said when that differs.
  std::optional<std::string> Step() {
    differences_.clear();
    what_.clear();
    Do(mounted_, reference_);
    return differences_.empty() ? std::nullopt : std::optional(what_ + ": " + differences_);
  }

 private:
  std::uint64_t Draw(std::uint64_t below) {
    return std::uniform_int_distribution<std::uint64_t>(0, below - 1)(random_);
  }
  std::string Name() {
    static const std::vector<std::string> directories{"", "", "d0/", "d1/", "d0/e/"};
    return directories[Draw(directories.size())] + std::string(1, static_cast<char>('a' + Draw(6)));
  }
  std::string Directory() {
    static const std::vector<std::string> names{"d0", "d1", "d0/e", "d2", "."};
    return names[Draw(names.size())];
  }

  void Do(Tree& mounted, Tree& local);

  std::mt19937_64 random_{g_seed};
  std::string what_;
  std::string differences_;
  Tree mounted_;
  Tree reference_;
};

void Walk::Do(Tree& mounted, Tree& local) {
  const auto both = [&](auto&& operation) {
    const std::string a = operation(mounted);
    const std::string b = operation(local);
    if (a != b) {
      differences_ += fmt::format("the mount said {}, a local directory {}\n", a, b);
    }
  };
  const std::string name = Name();
  const std::string other = Name();
  switch (Draw(20)) {
    case 0:
    case 1:
    case 2: {
      static const std::vector<int> kinds{
          O_RDWR | O_CREAT, O_RDWR | O_CREAT | O_EXCL,    O_RDONLY, O_WRONLY | O_APPEND, O_RDWR | O_CREAT | O_TRUNC,
          O_RDWR,           O_WRONLY | O_CREAT | O_APPEND};
      const int flags = kinds[Draw(kinds.size())];
      what_ = fmt::format("open {} {:o}", name, flags);
      both([&](Tree& tree) { return tree.Open(name, flags); });
      break;
    }
    case 3:
    case 4:
    case 5:
    case 6: {
      if (mounted.handles() == 0) {
        break;
      }
      const std::size_t index = Draw(mounted.handles());
      const auto offset = static_cast<off_t>(Draw(200'000));
      std::string bytes(Draw(4) == 0 ? Draw(300'000) : Draw(3000), static_cast<char>('A' + Draw(26)));
      for (std::size_t i = 0; i < bytes.size(); i += 97) {
        bytes[i] = static_cast<char>(Draw(256));
      }
      what_ = fmt::format("write handle {} @{}+{}", index, offset, bytes.size());
      both([&](Tree& tree) { return Tree::Said(::pwrite(tree.fd(index), bytes.data(), bytes.size(), offset)); });
      break;
    }
    case 7:
    case 8:
    case 9: {
      if (mounted.handles() == 0) {
        break;
      }
      const std::size_t index = Draw(mounted.handles());
      const auto offset = static_cast<off_t>(Draw(300'000));
      const std::size_t length = 1 + Draw(200'000);
      what_ = fmt::format("read handle {} @{}+{}", index, offset, length);
      both([&](Tree& tree) { return Tree::Read(tree.fd(index), offset, length); });
      break;
    }
    case 10: {
      if (mounted.handles() == 0) {
        break;
      }
      const std::size_t index = Draw(mounted.handles());
      const auto size = static_cast<off_t>(Draw(300'000));
      const bool cut = Draw(2) == 0;
      what_ = fmt::format("{} handle {}", cut ? "ftruncate" : "fsync", index);
      both([&](Tree& tree) { return Tree::Said(cut ? ::ftruncate(tree.fd(index), size) : ::fsync(tree.fd(index))); });
      break;
    }
    case 11: {
      if (mounted.handles() == 0) {
        break;
      }
      const std::size_t index = Draw(mounted.handles());
      what_ = "close";
      both([&](Tree& tree) { return tree.Close(index); });
      break;
    }
    case 12: {
      what_ = "unlink " + name;
      both([&](Tree& tree) {
        tree.CloseHandlesOf(name);
        return Tree::Said(::unlink(tree.At(name).c_str()));
      });
      break;
    }
    case 13: {
      what_ = fmt::format("rename {} {}", name, other);
      if (name == other) {
        break;
      }
      both([&](Tree& tree) {
        tree.CloseHandlesOf(other);
        const std::string result = Tree::Said(::rename(tree.At(name).c_str(), tree.At(other).c_str()));
        if (result == "0") {
          tree.Renamed(name, other);
        }
        return result;
      });
      break;
    }
    case 14: {
      const std::string directory = Directory();
      what_ = "mkdir " + directory;
      both([&](Tree& tree) { return Tree::Said(::mkdir(tree.At(directory).c_str(), 0755)); });
      break;
    }
    case 15: {
      const std::string directory = Directory();
      what_ = "rmdir " + directory;
      if (directory != ".") {
        both([&](Tree& tree) { return Tree::Said(::rmdir(tree.At(directory).c_str())); });
      }
      break;
    }
    case 16: {
      const std::string directory = Directory();
      what_ = "list " + directory;
      both([&](Tree& tree) { return tree.List(directory); });
      break;
    }
    case 17: {
      what_ = "stat " + name;
      both([&](Tree& tree) { return tree.Stat(name); });
      break;
    }
    case 18: {
      what_ = fmt::format("symlink {} -> {}", name, "a");
      both([&](Tree& tree) { return Tree::Said(::symlink("a", tree.At(name + "s").c_str())); });
      both([&](Tree& tree) { return tree.ReadLink(name + "s"); });
      if (Draw(2) == 0) {
        both([&](Tree& tree) { return Tree::Said(::unlink(tree.At(name + "s").c_str())); });
      }
      break;
    }
    case 19: {
      const auto mode = static_cast<mode_t>(0600 + Draw(0100));
      what_ = fmt::format("chmod {} {:o}", name, mode);
      both([&](Tree& tree) { return Tree::Said(::chmod(tree.At(name).c_str(), mode)); });
      break;
    }
  }
}

using Model = FaultTest;

TEST_F(Model, EveryAnswerIsThatOfALocalDirectory) {
  Mount({"--timeout", "0"});  // a busy machine may not get a connection made between dense cuts for long
  std::cout << fmt::format("--seed={} --ops={}\n", g_seed, g_ops);
  std::filesystem::create_directory(local() / "model");
  if (g_max_cut > 0) {
    service().link().CutEvery(g_seed, milliseconds(g_min_cut), milliseconds(g_max_cut));
  }
  // In a process of its own: the stand-in starts programs, and each would flush the files open here.
  const Finished walked =
      Run({std::filesystem::read_symlink("/proc/self/exe").string(), fmt::format("--seed={}", g_seed),
           fmt::format("--ops={}", g_ops), "--walk", mount().string(), (local() / "model").string()},
          seconds(100'000));
  ASSERT_EQ(walked.exit_code, 0) << walked.all() << Log();
  service().link().StopCutting();
  const Finished same = Shell("diff -r --no-dereference $D/model $M && diff -r --no-dereference $D/model $S");
  EXPECT_EQ(same.exit_code, 0) << same.all();
  std::cout << fmt::format("{} operations, {} cuts, {} reconnects\n", g_ops, cuts(), Status().reconnects);
}

int WalkBoth(const std::string& mount, const std::string& local) {
  Walk walk(mount, local);
  for (std::uint64_t i = 0; i < g_ops; ++i) {
    if (const auto difference = walk.Step()) {
      std::cout << fmt::format("operation {}: {}\n", i, *difference);
      return 1;
    }
  }
  return 0;
}

bool TakeNumber(std::string_view argument, std::string_view flag, std::uint64_t& number) {
  if (!argument.starts_with(flag)) {
    return false;
  }
  argument.remove_prefix(flag.size());
  return std::from_chars(argument.data(), argument.data() + argument.size(), number).ec == std::errc();
}

}  // namespace
}  // namespace bt::fault

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  bt::fault::g_seed = std::random_device{}();
  for (int i = 1; i < argc; ++i) {
    using bt::fault::TakeNumber;
    if (std::string_view(argv[i]) == "--walk" && i + 2 < argc) {
      return bt::fault::WalkBoth(argv[i + 1], argv[i + 2]);
    }
    if (!TakeNumber(argv[i], "--ops=", bt::fault::g_ops) && !TakeNumber(argv[i], "--seed=", bt::fault::g_seed) &&
        !TakeNumber(argv[i], "--min-cut=", bt::fault::g_min_cut) &&
        !TakeNumber(argv[i], "--max-cut=", bt::fault::g_max_cut)) {
      std::cerr << "not understood: " << argv[i] << "\n";
      return 2;
    }
  }
  return RUN_ALL_TESTS();
}
