// Errors of real disks behind a real server: full, read-only, and another one below.
#include <unistd.h>

#include "tests/e2e/promises.h"

namespace bt::e2e {
namespace {

class Disks : public Promises {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) {
      GTEST_SKIP() << "only root can mount a small disk on the server's side";
    }
    Promises::SetUp();
  }
  void TearDown() override {
    if (::geteuid() == 0) {
      // Lazily: for a moment the server still holds what was closed last.
      Run("cd /; for disk in $S/*; do ! mountpoint -q $disk || umount --lazy $disk || exit 1; done");
      Promises::TearDown();
    }
  }
};

TEST_F(Disks, ThatAreFullAreNoSpace) {
  Run("mkdir $S/small && mount -t tmpfs -o size=256k tmpfs $S/small");
  Python(R"(
fd = os.open(M + '/small/f', os.O_WRONLY | os.O_CREAT)
def fill():
    os.write(fd, bytes(1 << 20))
    os.fsync(fd)
fails('ENOSPC', fill)
os.close(fd)
def put_all(): put(M + '/small/g', bytes(1 << 20))
fails('ENOSPC', put_all)
os.unlink(M + '/small/f'); os.unlink(M + '/small/g')
put(M + '/small/h', bytes(100000))
assert get(S + '/small/h') == bytes(100000)
)");
}

TEST_F(Disks, WithoutInodesLeftAreNoSpace) {
  Run("mkdir $S/few && mount -t tmpfs -o nr_inodes=8 tmpfs $S/few");
  Python(R"(
def make():
    for i in range(20): put(M + '/few/%d' % i, b'')
fails('ENOSPC', make)
fails('ENOSPC', os.mkdir, M + '/few/dir')
fails('ENOSPC', os.symlink, 'x', M + '/few/link')
)");
}

TEST_F(Disks, ThatAreReadOnlyAreSo) {
  Run("mkdir $S/ro && echo x > $S/ro/f && mkdir $S/ro/dir && ln $S/ro/f $S/ro/g && mount --bind $S/ro $S/ro && "
      "mount -o remount,ro,bind $S/ro");
  EXPECT_EQ(Python(R"(
r = M + '/ro/'
assert get(r + 'f') == b'x\n'
for call, *args in [(open, r + 'f', 'r+'), (open, r + 'f', 'w'), (open, r + 'new', 'w'), (os.mkdir, r + 'new'),
                    (os.symlink, 'x', r + 'new'), (os.link, r + 'f', r + 'new'), (os.unlink, r + 'f'), (os.rmdir, r + 'dir'),
                    (os.rename, r + 'f', r + 'new'), (os.chmod, r + 'f', 0o600), (os.utime, r + 'f', (1, 1)),
                    (os.truncate, r + 'f', 0)]:
    try:
        fails('EROFS', call, *args)
    except AssertionError as e:
        print(call.__name__, args, e)
)"),
            "");
}

TEST_F(Disks, BelowTheMountAreOthersToRenameAndLink) {
  Run("mkdir $S/other && mount -t tmpfs -o size=1m tmpfs $S/other");
  Python(R"(
put(M + '/f', b'x'); os.mkdir(M + '/dir')
fails('EXDEV', os.rename, M + '/f', M + '/other/f')
fails('EXDEV', os.link, M + '/f', M + '/other/f')
fails('EXDEV', os.rename, M + '/dir', M + '/other/dir')
)");
  Run("mv $M/f $M/dir $M/other && ls $S/other");
}

}  // namespace
}  // namespace bt::e2e
