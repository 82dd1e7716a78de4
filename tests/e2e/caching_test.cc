// What is kept of files, in the kernel and on this machine's disk, never shows as something else.
#include <fcntl.h>
#include <unistd.h>

#include <thread>

#include "tests/e2e/promises.h"

namespace bt::e2e {
namespace {

namespace fs = std::filesystem;

class Caching : public Promises {
 protected:
  fs::path second() const { return directory() / "second"; }
};

constexpr const char* kSame = "for f in a/deep/f b/deep/f; do cmp $M/$f $S/$f; cmp $D/../second/$f $S/$f; done";

TEST_F(Caching, DirectoriesThatChangePlacesTakeTheirBytesAlong) {
  fs::create_directory(second());
  const Finished mounted = BtMount({"demo123", second().string()});
  ASSERT_EQ(mounted.exit_code, 0) << mounted.all();
  Run(R"sh(
    mkdir -p $S/a/deep $S/b/deep
    for d in a b; do head -c 300000 /dev/urandom > $S/$d/deep/f; touch -d '2024-05-05 05:05:05' $S/$d/deep/f; done)sh");
  Run(kSame);
  // An open file that is read on meanwhile brings bytes by its old name.
  Run(R"sh(
    exec 3< $M/a/deep/f; dd bs=1000 count=1 <&3 > /dev/null 2>&1
    mv $M/a $M/t; mv $M/b $M/a; mv $M/t $M/b
    cat <&3 | cmp - <(tail -c +1001 $S/b/deep/f))sh");
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));  // what another mount does shows within a second
  Run(kSame);
  Unmount(second());
  Unmount(mount());
  Mount();
  fs::remove(second());
  fs::create_symlink(mount(), second());
  Run(kSame);
}

TEST_F(Caching, AFileThatTakesTheNameSizeAndTimeOfAnotherIsNotTakenForIt) {
  Run(R"sh(
    for f in a b; do head -c 300000 /dev/urandom > $S/$f; touch -d '2024-05-05 05:05:05' $S/$f; done
    cat $M/a $M/b > /dev/null
    mv $M/a $M/t; mv $M/b $M/a; mv $M/t $M/b; cmp $M/a $S/a; cmp $M/b $S/b
    rm $M/b; ln $M/a $M/b; cmp $M/b $S/a
    head -c 300000 /dev/urandom > $D/new; touch -r $S/a $D/new; cp -p $D/new $M/a; cmp $M/a $D/new; cmp $S/a $D/new)sh");
  Unmount(mount());
  Mount();
  Run("cmp $M/a $S/a; cmp $M/b $S/b; cmp $M/a $D/new");
}

}  // namespace
}  // namespace bt::e2e
