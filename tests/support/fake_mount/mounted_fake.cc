#include "tests/support/fake_mount/mounted_fake.h"

#include <unistd.h>

#include <cstdlib>
#include <future>
#include <system_error>
#include <utility>

#include <spdlog/spdlog.h>

#include "fs/fuse/mount_point.h"
#include "fs/fuse/mount_table.h"

namespace bt {

TemporaryDirectory::TemporaryDirectory() {
  std::string name = (std::filesystem::temp_directory_path() / "bt-mount-test-XXXXXX").string();
  path_ = ::mkdtemp(name.data());
}

TemporaryDirectory::~TemporaryDirectory() {
  while (fuse::IsMountPoint(path_)) {
    if (!fuse::Unmount(path_, fuse::UnmountMode::kLazy).ok()) {
      return;  // removing now would remove what is mounted
    }
  }
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

MountedFake::MountedFake() {
  filesystem_options.uid = ::geteuid();
  filesystem_options.gid = ::getegid();
  mount_options.mount_point = directory_.path();
  mount_options.fsname = "fake:/";
  // Made before there are threads, as in every program that sets its log up: how a library that was built without the
  // thread sanitizer guards it, the sanitizer cannot see.
  spdlog::default_logger();
}

MountedFake::~MountedFake() {
  if (mount_ != nullptr) {
    mount_->Stop();
  }
  (void)Wait();
}

Status MountedFake::Start() {
  filesystem_ = std::make_unique<Filesystem>(remote, filesystem_options);
  mount_ = TRY(fuse::Mount::Open(mount_options, *filesystem_));
  std::promise<bool> ready;
  runner_ = std::jthread([this, &ready] {
    bool told = false;
    Status ended = mount_->Run([&] {
      told = true;
      ready.set_value(true);
    });
    ended_ = std::move(ended);
    if (!told) {
      ready.set_value(false);
    }
  });
  if (!ready.get_future().get()) {
    return Wait();
  }
  return {};
}

Status MountedFake::Wait() {
  if (runner_.joinable()) {
    runner_.join();
  }
  mount_.reset();
  return ended_.value_or(Status());
}

}  // namespace bt
