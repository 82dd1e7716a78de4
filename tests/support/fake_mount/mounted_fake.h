// A FakeRemoteFs mounted for real, in a directory of its own that is removed afterwards. Whatever the test did, the
// mount is gone when the object is.
//
// Threading: one thread; the mount runs on one of its own.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "fs/filesystem.h"
#include "fs/fuse/mount.h"
#include "tests/support/fake_remote_fs/fake_remote_fs.h"

namespace bt {

// A directory under the system's temporary one, removed with its content.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

class MountedFake {
 public:
  MountedFake();
  ~MountedFake();
  MountedFake(const MountedFake&) = delete;
  MountedFake& operator=(const MountedFake&) = delete;

  // Changed before Start().
  FakeRemoteFs remote;
  FilesystemOptions filesystem_options;
  fuse::MountOptions mount_options;

  // Returns once the mount answers.
  Status Start();
  // Waits for the end of Run() and gives its outcome; Stop() is the caller's business.
  Status Wait();

  fuse::Mount& mount() { return *mount_; }
  Filesystem& filesystem() { return *filesystem_; }
  std::string At(const std::string& name) const { return (directory_.path() / name).string(); }
  const std::filesystem::path& root() const { return directory_.path(); }

 private:
  TemporaryDirectory directory_;
  std::unique_ptr<Filesystem> filesystem_;
  std::unique_ptr<fuse::Mount> mount_;
  std::optional<Status> ended_;
  std::jthread runner_;
};

}  // namespace bt
