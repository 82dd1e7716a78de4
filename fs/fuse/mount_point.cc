#include "fs/fuse/mount_point.h"

#include <fcntl.h>
#include <spawn.h>
#include <spdlog/spdlog.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <string_view>
#include <system_error>
#include <vector>

#include "fs/fuse/mount_table.h"
#include "transport/base/unique_fd.h"

namespace bt::fuse {
namespace {

Error ConfigError(std::string text, const char* tag) { return Error{Code::kConfig, std::move(text), tag}; }

// Runs fusermount3 and waits for it; its own words when it fails.
Status RunFusermount(std::vector<std::string> words) {
  std::array<int, 2> pipe_ends{};
  if (::pipe2(pipe_ends.data(), O_CLOEXEC) != 0) {
    return Error{Code::kInternal, "making a pipe: " + SystemText(errno), "mount.fusermount"};
  }
  const UniqueFd reading(pipe_ends[0]);
  UniqueFd writing(pipe_ends[1]);
  words.insert(words.begin(), "fusermount3");
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) {
    argv.push_back(word.data());
  }
  argv.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, writing.get(), STDERR_FILENO);
  pid_t child = -1;
  const int spawned = ::posix_spawnp(&child, "fusermount3", &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  writing.Reset();
  if (spawned != 0) {
    return Error{Code::kConfig, "cannot run fusermount3: " + SystemText(spawned) + "; install the package fuse3",
                 "mount.fusermount"};
  }
  std::string said;
  std::array<char, 512> chunk{};
  ssize_t got = 0;
  while ((got = ::read(reading.get(), chunk.data(), chunk.size())) > 0 || (got < 0 && errno == EINTR)) {
    said.append(chunk.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    return {};
  }
  while (!said.empty() && said.back() == '\n') {
    said.pop_back();
  }
  return Error{Code::kFailure, said.empty() ? "fusermount3 failed" : said, "mount.fusermount"};
}

// Where the kernel sees `path`, without looking at `path` itself, which may be dead.
std::filesystem::path ResolveParent(const std::filesystem::path& path) {
  std::error_code ignored;
  const std::filesystem::path absolute = std::filesystem::absolute(path, ignored).lexically_normal();
  const std::filesystem::path named = absolute.has_filename() ? absolute : absolute.parent_path();
  const std::filesystem::path parent = std::filesystem::canonical(named.parent_path(), ignored);
  return parent.empty() ? named : parent / named.filename();
}

Status CleanDeadMount(const std::filesystem::path& path) {
  const std::filesystem::path place = ResolveParent(path);
  const auto entry = FindMountAt(place);
  const std::string sentence = place.string() + " is a dead mount: the program that served it is gone";
  const std::string advice = "; run `fusermount3 -u " + place.string() + "`, then try again";
  if (!entry.ok() || entry->fs_type != kFsType) {
    return ConfigError(sentence + advice, "mount.dead");
  }
  const Status unmounted = Unmount(place, UnmountMode::kLazy);
  if (!unmounted.ok()) {
    return ConfigError(sentence + ", and it cannot be unmounted: " + unmounted.error().text + advice, "mount.dead");
  }
  spdlog::info("{}: unmounted what an earlier bt-mount left behind", place.string());
  return {};
}

// What was asked lately the kernel still answers for a dead mount; opening it always asks.
bool IsDead(const std::filesystem::path& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return !fd && errno == ENOTCONN;
}

Error UnusableError(const std::filesystem::path& path, int error) {
  if (error == ENOENT) {
    return ConfigError("the mount point " + path.string() + " does not exist; make it with `mkdir -p " + path.string() +
                           "`, or name another directory",
                       "mount.missing");
  }
  return ConfigError("the mount point " + path.string() + " cannot be used: " + SystemText(error), "mount.unusable");
}

// True: there was a dead mount; look again.
Result<bool> CleanIfDead(const std::filesystem::path& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) {
    const int error = errno;
    if (error != ENOTCONN) {
      return UnusableError(path, error);
    }
  } else if (!S_ISDIR(found.st_mode)) {
    return ConfigError("the mount point " + path.string() + " is not a directory", "mount.not-directory");
  } else {
    const auto entry = FindMountAt(ResolveParent(path));
    if (!entry.ok() || entry->fs_type != kFsType || !IsDead(path)) {
      return false;
    }
  }
  TRY(CleanDeadMount(path));
  return true;
}

}  // namespace

Status CheckDevice(const std::filesystem::path& device) {
  const UniqueFd fd(::open(device.c_str(), O_RDWR | O_CLOEXEC));
  if (fd) {
    return {};
  }
  switch (errno) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
      return ConfigError(device.string() +
                             " is missing: load the kernel module with `modprobe fuse`, or, in a container, start it "
                             "with `--device /dev/fuse --cap-add SYS_ADMIN`",
                         "mount.no-device");
    case EACCES:
    case EPERM:
      return ConfigError("no permission to open " + device.string() +
                             ": on most systems everyone may (`chmod 666 /dev/fuse` as root), or a group may; in a "
                             "container the device must be allowed (`--device /dev/fuse`)",
                         "mount.device-permission");
    default:
      return ConfigError("cannot open " + device.string() + ": " + SystemText(errno), "mount.device");
  }
}

Status CheckFusermount() {
  // The PATH, as libfuse does it, and the usual places, because libfuse knows its own.
  const char* const path = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe): nothing here calls setenv
  std::string places = path == nullptr ? "" : path;
  places += ":/usr/local/bin:/usr/bin:/bin";
  std::string_view rest = places;
  while (!rest.empty()) {
    const std::string_view place = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(place.size() + 1, rest.size()));
    if (!place.empty() && ::access((std::filesystem::path(place) / "fusermount3").c_str(), X_OK) == 0) {
      return {};
    }
  }
  return ConfigError("fusermount3 was not found, and only root can mount without it; install the package fuse3",
                     "mount.no-fusermount");
}

Status CheckAllowOther(uid_t uid, const std::filesystem::path& config) {
  if (uid == 0) {
    return {};
  }
  std::ifstream file(config);
  std::string line;
  while (std::getline(file, line)) {
    const std::string_view word = std::string_view(line).substr(0, line.find_last_not_of(" \t\r") + 1);
    if (word == "user_allow_other") {
      return {};
    }
  }
  return ConfigError("allow_other needs the line `user_allow_other` in " + config.string() +
                         ", which root can add; or leave allow_other out",
                     "mount.allow-other");
}

Result<std::filesystem::path> PrepareMountPoint(const std::filesystem::path& path, bool nonempty) {
  // Dead mounts may lie on top of each other.
  for (int left = 8; TRY(CleanIfDead(path)) && left > 0; --left) {
  }
  std::error_code error;
  const std::filesystem::path place = std::filesystem::canonical(path, error);
  if (error) {
    return ConfigError("the mount point " + path.string() + " cannot be used: " + error.message(), "mount.unusable");
  }
  const auto entry = FindMountAt(place);
  if (entry.ok() && entry->fs_type == kFsType) {
    return ConfigError(place.string() + " is busy: " + entry->source +
                           " is mounted there; end it with `bt-mount unmount " + place.string() +
                           "`, or name another directory",
                       "mount.busy");
  }
  if (nonempty) {
    return place;
  }
  const std::filesystem::directory_iterator first(place, error);
  if (error) {
    return ConfigError("the mount point " + place.string() + " cannot be listed: " + error.message(), "mount.unusable");
  }
  if (first != std::filesystem::directory_iterator()) {
    return ConfigError(
        "the mount point " + place.string() +
            " is not empty, and its files would be hidden; name an empty directory, or add `-o nonempty`",
        "mount.not-empty");
  }
  return place;
}

Status Unmount(const std::filesystem::path& path, UnmountMode mode) {
  const bool lazy = mode == UnmountMode::kLazy;
  if (::geteuid() == 0) {
    if (::umount2(path.c_str(), UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0) {
      return {};
    }
    const int error = errno;
    if (error == EBUSY) {
      return Error{Code::kFailure,
                   path.string() + " is busy: a program has a file open or its working directory there (`fuser -vm " +
                       path.string() + "` lists them)",
                   "mount.unmount"};
    }
    return Error{Code::kFailure, "cannot unmount " + path.string() + ": " + SystemText(error), "mount.unmount"};
  }
  std::vector<std::string> words{lazy ? "-uz" : "-u", "--", path.string()};
  return RunFusermount(std::move(words));
}

}  // namespace bt::fuse
