// Random operations against a reference: each is made on the mount and on a local directory, and must answer the same,
// while the link is cut at random. At the end both trees are the same, also as the server sees its own.
//
//   model_test [--ops=10000] [--seed=N] [--min-cut=300] [--max-cut=2000] [--second-writer=0]     (milliseconds)
//
// With --second-writer=N about every Nth operation is made on the server's side, behind the mount's back. The mount is
// given the time in which it promises to see that.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <charconv>
#include <iostream>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "fs/app/control_socket.h"
#include "tests/fault/fault_test.h"
#include "tests/model/tree.h"

namespace bt::fault {
namespace {

std::uint64_t g_ops = 10'000;
std::uint64_t g_seed = 0;
std::uint64_t g_min_cut = 300;
std::uint64_t g_max_cut = 2000;
std::uint64_t g_second_writer = 0;

// A change on the server is seen through the mount within a second (SEMANTICS.md); the rest is for a busy machine.
constexpr milliseconds kSeen{1300};

// The trees, and the next random operation.
class Walk {
 public:
  Walk(const std::string& mount, const std::string& server, const std::string& local)
      : mounted_(mount), served_(server), reference_(local) {}

  // What the two said when that differs.
  std::optional<std::string> Step() {
    differences_.clear();
    what_.clear();
    if (g_second_writer > 0 && Draw(g_second_writer) == 0) {
      ChangeOnServer();
    } else {
      Do(mounted_, reference_);
    }
    return differences_.empty() ? std::nullopt : std::optional(what_ + ": " + differences_);
  }

 private:
  std::uint64_t Draw(std::uint64_t below) {
    return std::uniform_int_distribution<std::uint64_t>(0, below - 1)(random_);
  }
  std::string Name() {
    static const std::vector<std::string> kDirectories{"", "", "d0/", "d1/", "d0/e/"};
    return kDirectories[Draw(kDirectories.size())] + std::string(1, static_cast<char>('a' + Draw(6)));
  }
  std::string Directory() {
    static const std::vector<std::string> kNames{"d0", "d1", "d0/e", "d2", "."};
    return kNames[Draw(kNames.size())];
  }

  void Compare(const std::string& mounted, const std::string& local) {
    if (mounted != local) {
      differences_ += fmt::format("the mount said {}, a local directory {}\n", mounted, local);
    }
  }

  void Do(Tree& mounted, Tree& local);
  void ChangeOnServer();
  void LookAt(const std::string& name);

  std::mt19937_64 random_{g_seed};
  std::string what_;
  std::string differences_;
  Tree mounted_;
  Tree served_;
  Tree reference_;
};

// By somebody else, who writes over a file, changes its length, replaces it, takes it away or makes a new one.
void Walk::ChangeOnServer() {
  const std::string name = Name();
  const std::string temporary = name + ".new";
  const std::uint64_t kind = Draw(5);
  std::string bytes(1 + Draw(100'000), static_cast<char>('a' + Draw(26)));
  bytes.front() = static_cast<char>(Draw(256));
  const auto size = static_cast<off_t>(Draw(200'000));
  const auto change = [&](Tree& tree) -> std::string {
    const auto write = [&](const std::string& path, int flags) {
      const int fd = ::open(tree.At(path).c_str(), flags | O_CLOEXEC, 0644);
      if (fd < 0) {
        return ErrorName(errno);
      }
      std::string said = Tree::Said(::write(fd, bytes.data(), bytes.size()));
      ::close(fd);
      return said;
    };
    switch (kind) {
      case 0:
        return write(name, O_WRONLY);
      case 1:
        return write(name, O_WRONLY | O_APPEND | O_CREAT);
      case 2:
        return Tree::Said(::truncate(tree.At(name).c_str(), size));
      case 3:
        return write(temporary, O_WRONLY | O_CREAT | O_EXCL) + " " +
               Tree::Said(::rename(tree.At(temporary).c_str(), tree.At(name).c_str()));
      default:
        return Tree::Said(::unlink(tree.At(name).c_str()));
    }
  };
  // A handle of a file that somebody else changes is stale after the next cut, by promise.
  mounted_.CloseHandlesOf(name);
  reference_.CloseHandlesOf(name);
  what_ = fmt::format("change {} of {} on the server", kind, name);
  const std::string there = change(served_);
  const std::string here = change(reference_);
  if (there != here) {
    differences_ += fmt::format("the server's directory said {}, a local one {}\n", there, here);
  }
  std::this_thread::sleep_for(kSeen);
  LookAt(name);
}

// While its link is down the mount shows what it saw last, by promise. So the change must be seen once, in time, while
// the link is up; from then on what was seen last is the change.
void Walk::LookAt(const std::string& name) {
  const std::size_t slash = name.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : name.substr(0, slash);
  const auto link = [] {
    const std::vector<app::FoundMount> mounts = app::FindMounts(seconds(10));
    return mounts.empty() ? app::MountStatus() : mounts.front().status;  // without a mount all answers are errors
  };
  for (app::MountStatus before = link();;) {
    const std::string seen = mounted_.Stat(name);
    const std::string listed = mounted_.List(directory);
    const app::MountStatus after = link();
    if (before.link == "up" && after.link == "up" && before.reconnects == after.reconnects) {
      Compare(seen, reference_.Stat(name));
      Compare(listed, reference_.List(directory));
      return;
    }
    before = after;
    std::this_thread::sleep_for(milliseconds(10));
  }
}

void Walk::Do(Tree& mounted, Tree& local) {
  const auto both = [&](auto&& operation) {
    const std::string said = operation(mounted);
    Compare(said, operation(local));
  };
  const std::string name = Name();
  const std::string other = Name();
  switch (Draw(20)) {
    case 0:
    case 1:
    case 2: {
      static const std::vector<int> kKinds{
          O_RDWR | O_CREAT, O_RDWR | O_CREAT | O_EXCL,    O_RDONLY, O_WRONLY | O_APPEND, O_RDWR | O_CREAT | O_TRUNC,
          O_RDWR,           O_WRONLY | O_CREAT | O_APPEND};
      const int flags = kKinds[Draw(kKinds.size())];
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
        std::string result = Tree::Said(::rename(tree.At(name).c_str(), tree.At(other).c_str()));
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
           fmt::format("--ops={}", g_ops), fmt::format("--second-writer={}", g_second_writer), "--walk",
           mount().string(), server().string(), (local() / "model").string()},
          seconds(100'000));
  ASSERT_EQ(walked.exit_code, 0) << walked.all() << Log();
  service().link().StopCutting();
  const Finished same = Shell("diff -r --no-dereference $D/model $M && diff -r --no-dereference $D/model $S");
  EXPECT_EQ(same.exit_code, 0) << same.all();
  std::cout << fmt::format("{} operations, {} cuts, {} reconnects\n", g_ops, cuts(), Status().reconnects);
}

int WalkTrees(const std::string& mount, const std::string& server, const std::string& local) {
  Walk walk(mount, server, local);
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
    if (std::string_view(argv[i]) == "--walk" && i + 3 < argc) {
      return bt::fault::WalkTrees(argv[i + 1], argv[i + 2], argv[i + 3]);
    }
    if (!TakeNumber(argv[i], "--ops=", bt::fault::g_ops) && !TakeNumber(argv[i], "--seed=", bt::fault::g_seed) &&
        !TakeNumber(argv[i], "--min-cut=", bt::fault::g_min_cut) &&
        !TakeNumber(argv[i], "--max-cut=", bt::fault::g_max_cut) &&
        !TakeNumber(argv[i], "--second-writer=", bt::fault::g_second_writer)) {
      std::cerr << "not understood: " << argv[i] << "\n";
      return 2;
    }
  }
  return RUN_ALL_TESTS();
}
