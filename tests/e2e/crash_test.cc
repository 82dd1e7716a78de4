// The daemon killed at random moments while it writes: nothing that was acknowledged is lost, and going on is easy.
#include <signal.h>
#include <unistd.h>

#include <random>
#include <sstream>

#include <fmt/format.h>

#include "tests/e2e/promises.h"

namespace bt::e2e {
namespace {

class Crash : public Promises {
 protected:
  void KillWhileWriting(int rounds);

 private:
  void KillOnce(std::chrono::milliseconds after);
};

// Writes files of many sizes, and names each one once its fsync has returned.
constexpr const char* kWriter = R"(
import os, sys
for i in range(100000):
    fd = os.open(os.environ['M'] + '/synced/%d' % i, os.O_WRONLY | os.O_CREAT, 0o644)
    data = (b'%d ' % i) * (i * 5003 % 40000)
    for at in range(0, len(data), 7000):
        os.write(fd, data[at:at + 7000])
    os.fsync(fd)
    print(i, flush=True)
    os.close(fd)
)";

void Crash::KillOnce(std::chrono::milliseconds after) {
  const ProgramOptions how{.environment = environment_, .directory = local(), .scratch = directory()};
  Program writer({"python3", "writer.py"}, how);
  Program rsync({"rsync", "-a", (local() / "tree").string() + "/", (mount() / "tree").string() + "/"}, how);
  ::usleep(static_cast<useconds_t>(std::chrono::microseconds(after).count()));
  const pid_t daemon = Daemon();
  ASSERT_GT(daemon, 0);
  ASSERT_EQ(::kill(daemon, SIGKILL), 0);
  EXPECT_EQ(WaitForChild(daemon, std::chrono::seconds(60)), 128 + SIGKILL);
  rsync.Wait(std::chrono::seconds(100));
  const Finished wrote = writer.Wait(std::chrono::seconds(100));
  EXPECT_NE(wrote.exit_code, 0) << "it writes for ever";
  std::istringstream names(wrote.out);
  for (int i = 0; names >> i;) {
    std::string expected;
    for (int j = 0; j < i * 5003 % 40000; ++j) {
      expected += fmt::format("{} ", i);
    }
    EXPECT_TRUE(ReadFile(server() / "synced" / std::to_string(i)) == expected) << "synced/" << i;
  }
}

void Crash::KillWhileWriting(int rounds) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random(seed);
  environment_["M"] = mount().string();
  WriteFile(local() / "writer.py", kWriter);
  for (int i = 0; i < 150; ++i) {
    const auto directory = local() / "tree" / fmt::format("d{}", i % 7);
    std::filesystem::create_directories(directory);
    WriteFile(directory / fmt::format("f{}", i),
              Noise(static_cast<std::size_t>(i * 997 % 50'000), static_cast<std::uint64_t>(i)));
  }
  for (int round = 0; round < rounds && !HasFailure(); ++round) {
    Run("rm -rf $S/tree $S/synced; mkdir $S/tree $S/synced");
    KillOnce(std::chrono::milliseconds(std::uniform_int_distribution<int>(0, 2500)(random)));
    Mount();
    ASSERT_FALSE(HasFatalFailure());
    // What rsync left under its temporary names is nobody's loss.
    Run("rsync -a --delete $D/tree/ $M/tree/ && diff -r $D/tree $S/tree");
  }
}

TEST_F(Crash, OfTheDaemonLosesNothingThatWasAcknowledged) { KillWhileWriting(3); }

using SoakCrash = Crash;

TEST_F(SoakCrash, AHundredTimesLosesNothingThatWasAcknowledged) { KillWhileWriting(100); }

}  // namespace

TEST_F(Promises, No26AKilledDaemonLosesNothingThatWasClosedAndTheNextMountCleansUp) {
  Python(
      "put(M + '/f', b'closed')\nfd = os.open(M + '/g', os.O_WRONLY | os.O_CREAT)\nos.write(fd, b'synced')\n"
      "os.fsync(fd)\n");
  const pid_t daemon = Daemon();
  ASSERT_EQ(::kill(daemon, SIGKILL), 0);
  WaitForChild(daemon, std::chrono::seconds(60));
  Run("! ls $M");
  Mount();
  Python("assert get(M + '/f') == b'closed' and get(M + '/g') == b'synced' == get(S + '/g')\n");
}

}  // namespace bt::e2e
