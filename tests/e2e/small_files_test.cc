// What reading many small files costs through everything, in requests of the server and in round trips, and that no
// file is shown as another because of it.
#include "tests/e2e/promises.h"
#include "tests/support/standin/link.h"

namespace bt::e2e {
namespace {

constexpr unsigned kFiles = 100;

class SmallFiles : public Promises {
 protected:
  void SetUp() override {
    Promises::SetUp();
    // Old enough that nobody can still be writing them.
    Run("for i in $(seq 100 199); do echo text $i > $S/f$i; done; touch -d 2020-02-02 $S/f*");
    service().SetRtt(std::chrono::milliseconds(20));
    Run("ls -l $M > listing");
  }
  struct Cost {
    std::uint64_t turns = 0;
    std::map<std::string, std::uint64_t> requests;
  };
  Cost CostOf(const std::string& command) {
    const auto before = service().counters().sftp;
    Run(command);
    const auto after = service().counters().sftp;
    Cost cost{after.turns - before.turns, {}};
    for (const auto& [name, count] : after.requests) {
      cost.requests[name] = count - (before.requests.contains(name) ? before.requests.at(name) : 0U);
    }
    return cost;
  }
};

TEST_F(SmallFiles, InOrderTheyTravelTogether) {
  Cost cost = CostOf("cat $M/f* > all && cat $S/f* | cmp - all");
  EXPECT_LE(cost.turns, 30U) << "two a file, if each waited for the one before";
  EXPECT_EQ(cost.requests["open"], kFiles) << "each once";
  EXPECT_EQ(cost.requests["read"], kFiles);
}

TEST_F(SmallFiles, TheSecondTimeNothingIsAskedFor) {
  Run("cat $M/f* > all; sleep 1");
  Cost cost = CostOf("cat $M/f* > again; cat $M/f* >> again; cat all all | cmp - again");
  EXPECT_EQ(cost.requests["open"] + cost.requests["read"] + cost.requests["fstat"], 0U);
}

TEST_F(SmallFiles, NothingIsFetchedOnceTheOrderHasEnded) {
  Run("cat $M/f100 $M/f101 $M/f102 > some; sleep 1");  // until what is under way has come
  Cost cost = CostOf("cat $M/f190 >> some; sleep 1");
  EXPECT_LE(cost.requests["open"], 1U);
  EXPECT_LE(service().counters().sftp.requests.at("open"), 3U + 8U + 16U + 1U);
}

TEST_F(SmallFiles, WhatReplacedAFileThatWasFetchedIsSeenWithinASecond) {
  Python(R"(
for i in range(100, 104): get(M + '/f%d' % i)
put(S + '/new', b'another')
os.rename(S + '/new', S + '/f106')
time.sleep(1.2)
assert get(M + '/f106') == b'another'
)");
}

TEST_F(SmallFiles, AnOpenFileNeverShowsWhatReplacedIt) {
  Python(R"(
get(M + '/f100')
time.sleep(1)
fd = os.open(M + '/f100', os.O_RDONLY)
put(S + '/new', b'another, and longer')
os.rename(S + '/new', S + '/f100')
for i in range(8):
    time.sleep(0.4)
    os.stat(M + '/f100')
    try:
        assert os.pread(fd, 100, 0) in (b'text 100\n', b'')
    except OSError as e:
        assert e.errno == errno.ESTALE, e
    os.listdir(M)
assert get(M + '/f100') == b'another, and longer'
)");
}

TEST_F(SmallFiles, AnOpenFileGoesOnWithoutItsName) {
  Python(R"(
for name in 'f100', 'f101': get(M + '/' + name)
time.sleep(1)
here, there = os.open(M + '/f100', os.O_RDONLY), os.open(M + '/f101', os.O_RDONLY)
os.unlink(M + '/f100')
os.unlink(S + '/f101')
time.sleep(2.5)
assert os.pread(here, 100, 0) == b'text 100\n'
assert os.pread(there, 100, 0) == b'text 101\n'
)");
}

TEST_F(SmallFiles, AnOpenFileGrows) {
  Python(R"(
get(M + '/f100')
time.sleep(1)
fd = os.open(M + '/f100', os.O_RDONLY)
assert os.read(fd, 100) == b'text 100\n'
put(S + '/f100', b'more\n', 'ab')
more = []
within(10, lambda: more.append(os.read(fd, 100)) or more[-1])
assert more[-1] == b'more\n', more
)");
}

TEST_F(SmallFiles, ARefusedOneIsAnError) {
  Run("cat $M/f100 $M/f101 > some");
  Break("open", 100);
  EXPECT_NE(Shell("cat $M/f150 > none", std::chrono::seconds(60)).exit_code, 0);
}

}  // namespace
}  // namespace bt::e2e
