// What is kept of files, in the kernel and on this machine's disk, never shows as something else.
#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <iostream>
#include <thread>

#include <fmt/format.h>

#include "tests/e2e/promises.h"

namespace bt::e2e {
namespace {

namespace fs = std::filesystem;

class Caching : public Promises {
 protected:
  fs::path second() const { return directory() / "second"; }
  // Steps of a second writer on the server's side. What is read is the present file, or as a whole what it was within
  // the last moments; and soon the present one, also for who has it open.
  void WriteOnTheOtherSide(int steps) {
    environment_["STEPS"] = std::to_string(steps);
    std::cout << Python(kSecondWriter, std::chrono::seconds(100 + steps / 10));
  }
  void FollowALog(int lines);
  static constexpr const char* kSecondWriter = R"(
import random
seed = random.randrange(1 << 30); r = random.Random(seed); print('seed', seed)
m, s = M + '/f', S + '/f'
put(s, r.randbytes(300000))
fd = os.open(m, os.O_RDONLY)
past = []
for step in range(int(os.environ['STEPS'])):
    past.append((time.monotonic(), get(s)))
    kind = r.choice(['same', 'same', 'inside', 'replace', 'cut', 'grow', 'old'])
    size = os.path.getsize(s)
    if kind == 'same': put(s, r.randbytes(size), 'r+b')
    elif kind == 'inside':
        with open(s, 'r+b') as f: f.seek(r.randrange(size)); f.write(r.randbytes(1))
    elif kind == 'replace': put(s + '.new', r.randbytes(r.choice([size, r.randrange(1, 600000)]))); os.rename(s + '.new', s)
    elif kind == 'cut': os.truncate(s, r.randrange(1, size + 1))
    elif kind == 'grow': put(s, r.randbytes(r.randrange(1, 60000)), 'ab')
    # Settled, and so kept: what follows must not be taken for it.
    elif kind == 'old': os.utime(s, (1.6e9 + step, 1.6e9 + step))
    past = [(t, b) for t, b in past if t > time.monotonic() - 5]
    got = get(m)
    assert got == get(s) or any(got == b for t, b in past), (step, kind)
    if r.randrange(8) == 0: within(5, lambda: get(m) == get(s))
    if kind == 'replace': os.close(fd); fd = os.open(m, os.O_RDONLY)
    if kind == 'replace' or r.randrange(50) == 0: within(5, lambda: get(m) == get(s)); os.close(fd); fd = os.open(m, os.O_RDONLY)
    if r.randrange(20) == 0:
        try: within(15, lambda: os.pread(fd, 1 << 20, 0) == get(s))
        except OSError as e:  # opened without asking the server, and changed before that was made good
            assert e.errno == errno.ESTALE, e
            os.close(fd); fd = os.open(m, os.O_RDONLY)
)";
};

class SoakCaching : public Caching {};

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

TEST_F(Caching, ASecondWriterIsSeenAsItIs) { WriteOnTheOtherSide(150); }
TEST_F(SoakCaching, ASecondWriterIsSeenAsItIs) { WriteOnTheOtherSide(10'000); }

TEST_F(Caching, WhoHasAFileOpenSeesWhatOthersWriteSoon) {
  std::cout << Python(R"(
put(S + '/f', b'0' * 200000); os.utime(S + '/f', (1.6e9, 1.6e9))
fd = os.open(M + '/f', os.O_RDONLY)
assert os.pread(fd, 200000, 0) == get(S + '/f')
worst = 0
for i in range(1, 6):
    new = bytes([48 + i]) * 200000
    put(S + '/f', new, 'r+b')  # in place, of the same size
    began = time.monotonic()
    within(10, lambda: os.pread(fd, 200000, 0) == new)
    worst = max(worst, time.monotonic() - began)
print('seen by who has it open after at most %.2f s' % worst)
# Within one second of the server's clock, so that size and time are those of what was read already.
while time.time() % 1 > 0.1: time.sleep(0.01)
put(S + '/f', b'x' * 200000, 'r+b')
within(10, lambda: os.pread(fd, 200000, 0) == b'x' * 200000)
while time.time() % 1 > 0.1: time.sleep(0.01)
put(S + '/f', b'y' * 200000, 'r+b')
other = os.open(M + '/f', os.O_RDONLY)
first = os.pread(other, 200000, 0)
put(S + '/f', b'z' * 200000, 'r+b')
began = time.monotonic()
within(10, lambda: os.pread(other, 200000, 0) == b'z' * 200000)
within(10, lambda: os.pread(fd, 200000, 0) == b'z' * 200000)
assert get(M + '/f') == b'z' * 200000
print('the second one of a second after %.2f s' % (time.monotonic() - began))
)");
}

void Caching::FollowALog(int lines) {
  Run("echo begin > $S/log; touch $D/seen; tail -n +1 -f $M/log > $D/seen 2> $D/errors & echo $! > $D/pid");
  std::uint64_t wire = 0;
  std::uint64_t appended = 0;
  std::chrono::milliseconds worst{0};
  for (int i = 0; i < lines; ++i) {
    const std::string line = fmt::format("line {} {}\n", i, std::string(static_cast<std::size_t>(i) * 7, 'x'));
    const std::uint64_t before = service().counters().link.bytes_down;
    std::ofstream(server() / "log", std::ios::app) << line;
    const auto began = std::chrono::steady_clock::now();
    const auto waited = [&] {
      return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began);
    };
    const auto whole = fs::file_size(server() / "log");
    while (fs::file_size(local() / "seen") < whole && waited() < std::chrono::seconds(10)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    worst = std::max(worst, waited());
    wire += service().counters().link.bytes_down - before;
    appended += line.size();
  }
  Run("kill $(cat $D/pid); cmp $D/seen $S/log");
  // Not asserted: tail(1) itself looks once a second.
  std::cout << fmt::format("{} lines, each seen after at most {} ms; {} bytes appended, {} on the wire\n", lines,
                           worst.count(), appended, wire);
  EXPECT_LE(wire, 3 * appended + static_cast<std::uint64_t>(lines) * 65536);
}

TEST_F(Caching, WhoFollowsAFileIsToldItsSizeOfNow) {
  Python(R"(
put(S + '/log', b'begin ')
f = open(M + '/log', 'rb', buffering=0)
assert f.read(100) == b'begin '
time.sleep(0.6)  # longer than who only reads it has it open
text = b'begin '
for i in range(20):
    text += b'%d ' % i * i
    put(S + '/log', text)
    time.sleep(0.15)  # others are told for 0.9 s what they were told before
    assert os.fstat(f.fileno()).st_size == len(text), i
    f.seek(0); assert f.read() == text, i
)");
}

TEST_F(Caching, AFollowedLogCostsItsNewBytes) { FollowALog(15); }
TEST_F(SoakCaching, AFollowedLogCostsItsNewBytes) { FollowALog(100); }

// Reads everything twice, compares, and counts the warnings about the cache.
constexpr const char* kReadAll = "for i in 1 2; do for f in $S/*; do cmp $f $M/${f##*/}; done; done";

int Warnings(const std::string& log) {
  int warnings = 0;
  for (std::size_t at = log.find(" warning ["); at != std::string::npos; at = log.find(" warning [", at + 1)) {
    ++warnings;
  }
  return warnings;
}

class CachingOnASmallDisk : public Caching {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) {
      GTEST_SKIP() << "only root can mount a small disk";
    }
    ServiceTest::SetUp();  // NOLINT(bugprone-parent-virtual-call): Promises would mount before there is a disk
    Run("mkdir $D/disk; mount -t tmpfs -o size=8m tmpfs $D/disk");
    Run("for i in 1 2 3; do head -c 7000000 /dev/urandom > $S/f$i; touch -d 2024-05-05 $S/f$i; done");
    Mount({"--cache-dir", (local() / "disk/cache").string()});
  }
  void TearDown() override {
    if (::geteuid() == 0) {
      Unmount(mount());
      Run("umount $D/disk");
      Promises::TearDown();
    }
  }
};

TEST_F(CachingOnASmallDisk, AFullOneIsOneWarningAndReadsGoOn) {
  Run("head -c 5000000 /dev/zero > $D/disk/others");
  Run(kReadAll);
  EXPECT_LE(Warnings(Log()), 1) << Log();
  Unmount(mount());
  Mount({"--cache-dir", (local() / "disk/cache").string()});
  Run(kReadAll);
}

TEST_F(CachingOnASmallDisk, AReadOnlyOneIsOneWarningAndReadsGoOn) {
  Run("head -c 500000 $M/f1 > /dev/null");
  Unmount(mount());
  Run("mount -o remount,ro $D/disk");
  Mount({"--cache-dir", (local() / "disk/cache").string()});
  Run(kReadAll);
  EXPECT_EQ(Warnings(Log()), 1) << Log();
}

TEST_F(CachingOnASmallDisk, OneThatGoesAwayIsAtMostOneWarningAndReadsGoOn) {
  Run("cat $M/f1 > /dev/null; rm -r $D/disk/cache; echo in the way > $D/disk/cache");
  Run(kReadAll);
  EXPECT_LE(Warnings(Log()), 1) << Log();
}

std::uint64_t MemoryKib(pid_t pid, const std::string& what) {
  std::ifstream status(fmt::format("/proc/{}/status", pid));
  std::string word;
  std::uint64_t kib = 0;
  while (status >> word) {
    if (word == what && status >> kib) {
      return kib;
    }
  }
  return 0;
}

TEST_F(Caching, SixteenReadersStayWithinTheBudgetAndGiveItBack) {
  Unmount(mount());
  Mount({"--memory", "64MiB"});
  Run("for i in $(seq 16); do head -c 24000000 /dev/zero | tr '\\0' \"$(printf %x $((i % 16)))\" > $S/r$i; done; ls "
      "$M");
  const std::uint64_t idle = MemoryKib(Daemon(), "VmRSS:");
  Run("for i in $(seq 16); do cmp $M/r$i $S/r$i & p[i]=$!; done; for i in $(seq 16); do wait ${p[i]}; done");
  const std::uint64_t peak = MemoryKib(Daemon(), "VmHWM:");
  std::uint64_t after = UINT64_MAX;
  for (int i = 0; i < 100 && after > idle + 16 * 1024; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    after = MemoryKib(Daemon(), "VmRSS:");
  }
  std::cout << fmt::format("{} KiB before, {} at most, {} afterwards\n", idle, peak, after);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LE(peak, (64 + 100) * 1024U);
  EXPECT_LE(after, idle + 16 * 1024U);
#endif
}

}  // namespace
}  // namespace bt::e2e
