// The server of a lost connection goes on with what it has in its pipe. Here that is held back until long after the
// request was sent again on a new connection; what was done after that must not be undone by it.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "tests/fault/fault_test.h"

namespace bt::fault {
namespace {

struct Row {
  const char* held;     // request, as the tap names it
  const char* prepare;  // on the server
  const char* first;    // its request is held
  const char* second;   // made after the first has returned
  const char* check;    // on the server, after what was held has been let go and executed
};

const std::vector<Row> kRows{
    {"write", "head -c 100k /dev/zero | tr '\\0' a > $S/w_$I",
     "head -c 100k /dev/zero | tr '\\0' b | dd of=$M/w_$I bs=100k iflag=fullblock conv=notrunc,fsync",
     "head -c 50k /dev/zero | tr '\\0' c | dd of=$M/w_$I bs=50k iflag=fullblock conv=notrunc,fsync",
     "test $(tr -d c < $S/w_$I | tr -d '\\n' | wc -c) = 51200 -a $(tr -d b < $S/w_$I | wc -c) = 51200"},
    {"write", "echo -n 1 > $S/ap_$I", "echo -n 2 >> $M/ap_$I", "echo -n 3 >> $M/ap_$I", "test $(cat $S/ap_$I) = 123"},
    {"fsetstat", "echo before > $S/tr_$I", "python3 -c \"f=open('$M/tr_$I','r+b'); f.truncate(0)\"",
     "echo whole > $M/tr_$I", "test $(cat $S/tr_$I) = whole"},
    {"open", "echo before > $S/op_$I", "echo one > $M/op_$I", "echo two > $M/op_$I", "test $(cat $S/op_$I) = two"},
    {"remove", "echo x > $S/rm_$I", "rm $M/rm_$I", "echo new > $M/rm_$I", "test $(cat $S/rm_$I) = new"},
    {"rmdir", "mkdir $S/rd_$I", "rmdir $M/rd_$I", "mkdir $M/rd_$I", "test -d $S/rd_$I"},
    {"mkdir", "true", "mkdir $M/md_$I", "rmdir $M/md_$I", "test ! -e $S/md_$I"},
    {"symlink", "true", "ln -s target $M/ln_$I", "rm $M/ln_$I", "test ! -L $S/ln_$I"},
    {"posix-rename", "echo a > $S/mv_$I", "python3 -c \"import os; os.rename('$M/mv_$I', '$M/to_$I')\"",
     "echo b > $M/mv_$I", "test $(cat $S/to_$I)$(cat $S/mv_$I) = ab"},
    {"lsetstat", "touch $S/ch_$I", "chmod 600 $M/ch_$I", "chmod 640 $M/ch_$I", "test $(stat -c %a $S/ch_$I) = 640"},
};

class LateExecution : public FaultTest {
 protected:
  // All connections are cut while requests are held, and `first` sends them again; after `second` the old servers'
  // pipes run empty, and `check` must hold.
  void CutWhileHeld(Program& first, std::uint64_t fired_before, const std::set<std::string>& old, const char* second,
                    const char* check) {
    ASSERT_TRUE(WaitUntil([&] { return service().counters().sftp.faults_fired > fired_before; }));
    service().link().CutAll();
    const Finished replayed = first.Wait(seconds(60));
    EXPECT_EQ(replayed.exit_code, 0) << replayed.all() << Log();
    const Finished later = Shell(second);
    EXPECT_EQ(later.exit_code, 0) << later.all() << Log();
    ASSERT_TRUE(WaitUntil([&] {
      const std::set<std::string> now = Taps();
      return std::none_of(old.begin(), old.end(), [&](const std::string& tap) { return now.contains(tap); });
    }));
    const Finished checked = Shell(check);
    EXPECT_EQ(checked.exit_code, 0) << checked.all() << Shell("ls -la $S").out;
    service().node(0).ClearFaults();
  }
  // The processes that relay to this service's SFTP servers, which end before they do.
  std::set<std::string> Taps() {
    std::set<std::string> taps;
    std::error_code gone;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", gone)) {
      std::ifstream file(entry.path() / "cmdline");
      std::string words;
      std::getline(file, words);
      if (words.find("bt-sftp-tap") != std::string::npos &&
          words.find(server().parent_path().string()) != std::string::npos) {
        taps.insert(entry.path().filename());
      }
    }
    return taps;
  }
};

TEST_F(LateExecution, UndoesNothingThatCameAfterIt) {
  // Before the mount looks: what is made behind its back is seen only after a second.
  int number = 0;
  for (const Row& row : kRows) {
    environment_["I"] = std::to_string(++number);
    ASSERT_EQ(Shell(row.prepare).exit_code, 0) << row.prepare;
  }
  Mount();
  number = 0;
  for (const Row& row : kRows) {
    SCOPED_TRACE(fmt::format("{}: {}", row.held, row.first));
    environment_["I"] = std::to_string(++number);
    const std::set<std::string> old = Taps();
    ASSERT_FALSE(old.empty());
    const std::uint64_t before = service().counters().sftp.faults_fired;
    ASSERT_TRUE(service()
                    .node(0)
                    .ArmFault({.action = tap::Action::kDelay, .request = row.held, .delay = milliseconds(1000)})
                    .ok());
    const auto first = StartShell(row.first);
    CutWhileHeld(*first, before, old, row.second, row.check);
  }
  EXPECT_GE(Status().reconnects, kRows.size());
}

// A large new file goes over several connections, each with a server of its own that may be the last to write.
TEST_F(LateExecution, OverConnectionsForBulkDataUndoesNothingEither) {
  constexpr std::uintmax_t kBegun = 40U << 20U;
  service().SetRtt(milliseconds(10));
  Mount();
  const auto first = StartShell(
      "{ head -c 40M /dev/zero | tr '\\0' a; while [ ! -e $S/go ]; do sleep 0.02; done; head -c 4M /dev/zero | tr "
      "'\\0' b; }"
      " | dd of=$M/bulk bs=1M iflag=fullblock conv=fsync");
  ASSERT_TRUE(WaitUntil([&] {
    std::error_code missing;
    return std::filesystem::file_size(server() / "bulk", missing) == kBegun && !missing;
  }));
  ASSERT_GE(Status().connections, 3U);
  const std::set<std::string> old = Taps();
  const std::uint64_t before = service().counters().sftp.faults_fired;
  ASSERT_TRUE(
      service()
          .node(0)
          .ArmFault({.action = tap::Action::kDelay, .request = "write", .times = 4, .delay = milliseconds(1500)})
          .ok());
  std::ofstream(server() / "go") << "go";
  CutWhileHeld(*first, before + 3, old,
               "head -c 4M /dev/zero | tr '\\0' c | dd of=$M/bulk bs=1M seek=40 iflag=fullblock conv=notrunc,fsync",
               "test $(tail -c 4M $S/bulk | tr -d c | wc -c) = 0 -a $(stat -c %s $S/bulk) = $((44 << 20))");
}

}  // namespace
}  // namespace bt::fault
