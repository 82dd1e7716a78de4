// fake_mount DIRECTORY: a small tree in memory, mounted until SIGINT, SIGTERM or an unmount. To look at the border to
// the kernel alone, without a server.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string>

#include "fs/filesystem.h"
#include "fs/fuse/mount.h"
#include "tests/support/fake_remote_fs/fake_remote_fs.h"

namespace {

bt::fuse::Mount* mounted = nullptr;

void OnSignal(int /*signal*/) { mounted->Stop(); }

int Complain(const bt::Error& error) {
  std::fprintf(stderr, "fake_mount: %s\n", bt::Describe(error).c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: fake_mount DIRECTORY\n");
    return 2;
  }
  bt::FakeRemoteFs remote;
  remote.WriteFile("/README", "A tree in memory.\n");
  remote.WriteFile("/data/numbers", "1\n2\n3\n");
  remote.MakeLink("/latest", "data");

  bt::FilesystemOptions filesystem_options;
  filesystem_options.uid = ::geteuid();
  filesystem_options.gid = ::getegid();
  bt::Filesystem filesystem(remote, filesystem_options);
  bt::fuse::MountOptions options;
  options.mount_point = argv[1];
  options.fsname = "fake:/";
  auto mount = bt::fuse::Mount::Open(options, filesystem);
  if (!mount.ok()) {
    return Complain(mount.error());
  }
  mounted = mount->get();
  std::signal(SIGINT, OnSignal);
  std::signal(SIGTERM, OnSignal);
  const bt::Status ended = (*mount)->Run([] {
    std::puts("ready");
    std::fflush(stdout);
  });
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGTERM, SIG_IGN);
  return ended.ok() ? 0 : Complain(ended.error());
}
