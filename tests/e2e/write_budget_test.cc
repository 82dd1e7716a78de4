// What changes cost through everything, in requests of the server and in round trips: the table in fs/SEMANTICS.md.
#include "tests/e2e/promises.h"
#include "tests/support/standin/link.h"

namespace bt::e2e {
namespace {

constexpr unsigned kFiles = 20;
// Of the link's keeper and of the background, while a test runs.
constexpr std::uint64_t kOthers = 6;

class WriteBudget : public Promises {
 protected:
  // What `script` (Python) costs.
  void Measure(const std::string& script) {
    service().SetRtt(std::chrono::milliseconds(20));
    Run("ls -l $M > listing");
    const auto before = service().counters().sftp;
    Python(script);
    const auto after = service().counters().sftp;
    turns_ = after.turns - before.turns;
    for (const auto& [name, count] : after.requests) {
      requests_[name] = count - (before.requests.contains(name) ? before.requests.at(name) : 0U);
    }
    bytes_read_ = after.bytes_read - before.bytes_read;
  }
  std::uint64_t Turns() const { return turns_; }
  std::uint64_t Requests(const std::string& name) const { return requests_.contains(name) ? requests_.at(name) : 0; }
  std::uint64_t BytesRead() const { return bytes_read_; }

 private:
  std::uint64_t turns_ = 0;
  std::map<std::string, std::uint64_t> requests_;
  std::uint64_t bytes_read_ = 0;
};

TEST_F(WriteBudget, CreatingASmallFileTakesThreeRoundTripsItsCloseIncluded) {
  Measure(R"(
for i in range(20):
    with open(M + '/f%d' % i, 'wb') as f: f.write(b'text')
)");
  EXPECT_LE(Turns(), 3 * kFiles + kOthers) << "the lookup of the name included";
  EXPECT_EQ(Requests("open"), kFiles);
  EXPECT_EQ(Requests("write"), kFiles);
  EXPECT_LE(Requests("fstat"), kFiles);
  EXPECT_EQ(Requests("setstat") + Requests("lsetstat") + Requests("fsetstat"), 0U);
}

TEST_F(WriteBudget, ModeAndTimesOfAFileBeingWrittenCostNoRoundTripMore) {
  Measure(R"(
for i in range(20):
    fd = os.open(M + '/f%d' % i, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.fchmod(fd, 0o644)
    os.write(fd, b'text')
    os.utime(fd, ns=(10**18, 10**18 + 5))
    os.fchmod(fd, 0o640)
    os.close(fd)
    os.stat(M + '/f%d' % i)
)");
  EXPECT_LE(Turns(), 3 * kFiles + kOthers);
  EXPECT_EQ(Requests("fsetstat"), kFiles);
  EXPECT_EQ(Requests("setstat") + Requests("lsetstat"), 0U);
}

TEST_F(WriteBudget, WhatRsyncDoesToAFileTakesFourRoundTrips) {
  Run("mkdir tree; for i in $(seq 20); do echo $i > tree/f$i; done; touch -d '2020-02-02 02:02:02.5' tree/*");
  Measure("subprocess.run(['rsync', '-a', D + '/tree/', M + '/'], check=True)\n");
  EXPECT_LE(Turns(), 4 * kFiles + 4 * kOthers) << "create; write and close; times and mode; rename";
  // A machine that stops rsync between times and mode lets the one leave without the other.
  EXPECT_LE(Requests("fstat"), 2 * kFiles + kOthers);
  EXPECT_LE(Requests("fsetstat"), 2 * kFiles + kOthers);
  EXPECT_EQ(Requests("write"), kFiles);
}

TEST_F(WriteBudget, DirectoriesTakeTwoRoundTripsEach) {
  Measure("for i in range(20): os.mkdir(M + '/d%d' % i)\n");
  EXPECT_LE(Turns(), 3 * kFiles + kOthers) << "the lookup of the name included";
}

}  // namespace
}  // namespace bt::e2e
