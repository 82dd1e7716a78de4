// Files that look like those that were there before: same names, sizes and times, other bytes.
#include <gtest/gtest.h>

#include "tests/e2e/mounted_workspace.h"

namespace bt::e2e {
namespace {

class MovedFiles : public ServiceTest {
 protected:
  // Two trees, $S/a and $S/b, that differ in the bytes of their files alone; mounted, and known by heart.
  void Prepare() {
    ASSERT_EQ(Shell("for d in a b; do mkdir -p $S/$d/deep; for f in 1 deep/2; do head -c 300k /dev/urandom > $S/$d/$f; "
                    "touch -d '2020-01-01 12:00:00' $S/$d/$f; done; done")
                  .exit_code,
              0);
    Mount();
    // Kept on disk as soon as the server's time is known.
    ASSERT_EQ(Shell("until [ $(find ~/.cache -name '*.blocks' | wc -l) = 4 ]; do cat $M/?/1 $M/?/deep/2 | wc -c; done",
                    std::chrono::seconds(60))
                  .exit_code,
              0);
  }
  void ExpectTheServersBytes() {
    const Finished same = Shell("diff -r $M/a $S/a && diff -r $M/b $S/b");
    EXPECT_EQ(same.exit_code, 0) << same.all();
  }
};

TEST_F(MovedFiles, DirectoriesThatChangePlaces) {
  Prepare();
  ASSERT_EQ(Shell("mv $M/a $M/t && mv $M/b $M/a && mv $M/t $M/b").exit_code, 0);
  ExpectTheServersBytes();
  ASSERT_EQ(Shell("mv $M/a $M/t && mv $M/b $M/a && mv $M/t $M/b").exit_code, 0);
  Unmount(mount());
  Mount();
  ExpectTheServersBytes();
}

TEST_F(MovedFiles, FilesThatChangePlaces) {
  Prepare();
  ASSERT_EQ(Shell("mv $M/a/1 $M/t && mv $M/b/1 $M/a/1 && mv $M/t $M/b/1").exit_code, 0);
  ExpectTheServersBytes();
  Unmount(mount());
  Mount();
  ExpectTheServersBytes();
}

TEST_F(MovedFiles, AHandleOfTheOneThatWasMovedTeachesNothingOfTheOther) {
  Prepare();
  ASSERT_EQ(Shell("exec 3< $M/a/1; head -c 1000 <&3 > /dev/null; mv $M/a $M/t && mv $M/b $M/a && mv $M/t $M/b; "
                  "tail -c +1001 $S/b/1 | cmp - <(cat <&3)")
                .exit_code,
            0);
  Unmount(mount());
  Mount();
  ExpectTheServersBytes();
}

}  // namespace
}  // namespace bt::e2e
