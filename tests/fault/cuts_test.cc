// Long work through a link that is cut again and again.
#include <gtest/gtest.h>

#include <fstream>
#include <iostream>
#include <random>

#include <fmt/format.h>

#include "tests/fault/fault_test.h"

namespace bt::fault {
namespace {

class Cuts : public FaultTest {
 protected:
  void CopyUp(int mebibytes) {
    ASSERT_EQ(Shell(fmt::format("head -c {}M /dev/urandom > $D/big", mebibytes)).exit_code, 0);
    Repeatedly(R"(cp $D/big $M/up && cmp $D/big $S/up)");
  }
  void CopyDown(int mebibytes) {
    ASSERT_EQ(Shell(fmt::format("head -c {}M /dev/urandom > $S/big", mebibytes)).exit_code, 0);
    Repeatedly(R"(cp $M/big $D/down && cmp $S/big $D/down)");
  }
  // Until the link was cut often enough during it.
  void Repeatedly(const std::string& command) {
    CutEvery(milliseconds(300), milliseconds(2000));
    const std::uint64_t before = cuts();
    int runs = 0;
    do {
      const Finished done = Shell(command, seconds(1800));
      ASSERT_EQ(done.exit_code, 0) << done.all() << Log();
      ++runs;
    } while (cuts() - before < least_cuts_);
    service().link().StopCutting();
    std::cout << fmt::format("{} runs, {} cuts, seed {}\n", runs, cuts() - before, Seed());
  }
  void Rsync(int files) {
    ASSERT_EQ(Shell(fmt::format("mkdir $D/tree; for i in $(seq {}); do d=$D/tree/$((i % 17)); mkdir -p $d; "
                                "head -c $((i * 37 % 20000)) /dev/urandom > $d/file$i; done",
                                files))
                  .exit_code,
              0);
    Repeatedly(
        "rsync -a $D/tree/ $M/tree/ && diff -r $D/tree $S/tree && rsync -a $M/tree/ $D/back/ && "
        "diff -r $D/tree $D/back && rm -r $M/tree $D/back && ! test -e $S/tree");
  }

  std::uint64_t least_cuts_ = 10;
};

using SoakCuts = Cuts;

TEST_F(Cuts, CopyToTheServerIsWhole) {
  Mount();
  CopyUp(128);
}

TEST_F(Cuts, CopyFromTheServerIsWhole) {
  Mount();
  CopyDown(128);
}

TEST_F(Cuts, RsyncUpDownAndRemoveLeavesNoDifference) {
  Mount();
  Rsync(300);
}

TEST_F(Cuts, AppendedLinesAreThereOnceAndInOrder) {
  Mount();
  CutEvery(milliseconds(200), milliseconds(800));
  const Finished done = Shell(
      "for i in $(seq 3000); do echo line $i; done >> $M/log; seq -f 'line %.0f' 3000 | cmp - $S/log;"
      "for i in $(seq 60); do echo more $i >> $M/log2; sleep 0.05; done;"
      "seq -f 'more %.0f' 60 | cmp - $S/log2");
  EXPECT_EQ(done.exit_code, 0) << done.all() << Log();
  EXPECT_GE(cuts(), 3U);
}

TEST_F(SoakCuts, TwoGibibytesEachWay) {
  Mount();
  least_cuts_ = 50;
  CopyUp(2048);
  CopyDown(2048);
}

TEST_F(SoakCuts, RsyncOfTwoThousandFiles) {
  Mount();
  least_cuts_ = 50;
  Rsync(2000);
}

}  // namespace
}  // namespace bt::fault
