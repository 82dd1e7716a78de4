// Every kind of request loses its request or its reply on the wire; the result and the server's side must be as if
// nothing had happened.
#include <gtest/gtest.h>

#include <iostream>

#include <fmt/format.h>

#include "tests/fault/fault_test.h"

namespace bt::fault {
namespace {

struct Row {
  const char* request;  // as the tap names it
  const char* prepare;  // on the server
  const char* command;
  const char* check;  // on the server
};

const std::vector<Row> kRows{
    {"lstat", "echo x > $S/lstat_$I", "test -f $M/lstat_$I", "true"},
    {"open", "echo x > $S/open_$I", "test $(cat $M/open_$I) = x", "true"},
    {"open", "true", "set -o noclobber; echo new > $M/create_$I", "test $(cat $S/create_$I) = new"},
    {"read", "head -c 2M /dev/urandom > $S/read_$I", "cat $M/read_$I > $D/read_$I", "cmp $D/read_$I $S/read_$I"},
    {"write", "head -c 2M /dev/urandom > $D/write_$I", "cp $D/write_$I $M/write_$I", "cmp $D/write_$I $S/write_$I"},
    {"write", "printf one > $S/append_$I", "printf two >> $M/append_$I", "test $(cat $S/append_$I) = onetwo"},
    {"fsync", "true", "dd if=/dev/zero of=$M/fsync_$I bs=64k count=4 conv=fsync 2> /dev/null",
     "test $(stat -c %s $S/fsync_$I) = 262144"},
    {"opendir", "mkdir $S/od_$I; touch $S/od_$I/{1..5}", "test $(ls $M/od_$I | wc -l) = 5", "true"},
    {"readdir", "mkdir $S/rd_$I; touch $S/rd_$I/{1..300}", "test $(ls $M/rd_$I | wc -l) = 300", "true"},
    {"mkdir", "true", "mkdir $M/mkdir_$I", "test -d $S/mkdir_$I"},
    {"rmdir", "mkdir $S/rmdir_$I", "rmdir $M/rmdir_$I", "test ! -e $S/rmdir_$I"},
    {"remove", "touch $S/rm_$I", "rm $M/rm_$I", "test ! -e $S/rm_$I"},
    {"posix-rename", "echo x > $S/mv_$I", "python3 -c \"import os; os.rename('$M/mv_$I', '$M/moved_$I')\"",
     "test -e $S/moved_$I -a ! -e $S/mv_$I"},
    {"rename", "echo x > $S/mvn_$I", "mv -n $M/mvn_$I $M/movedn_$I", "test -e $S/movedn_$I -a ! -e $S/mvn_$I"},
    {"symlink", "true", "ln -s target $M/ln_$I", "test $(readlink $S/ln_$I) = target"},
    {"readlink", "ln -s target $S/rl_$I", "test $(readlink $M/rl_$I) = target", "true"},
    {"hardlink", "echo x > $S/hl_$I", "ln $M/hl_$I $M/hard_$I", "test $(stat -c %h $S/hl_$I) = 2"},
    {"fsetstat", "echo 123456 > $S/tr_$I",
     "python3 -c \"import os; f=open('$M/tr_$I','r+b'); f.read(); f.truncate(3)\"", "test $(stat -c %s $S/tr_$I) = 3"},
    {"lsetstat", "touch $S/ch_$I", "chmod 600 $M/ch_$I", "test $(stat -c %a $S/ch_$I) = 600"},
    {"lsetstat", "touch $S/ut_$I", "touch -d @1000000000 $M/ut_$I", "test $(stat -c %Y $S/ut_$I) = 1000000000"},
    {"copy-data", "head -c 300k /dev/urandom > $S/cd_$I",
     "python3 -c \"import os; a=os.open('$M/cd_$I',0); b=os.open('$M/copy_$I',os.O_CREAT|os.O_WRONLY); "
     "assert os.copy_file_range(a,b,307200)==307200\"",
     "cmp $S/cd_$I $S/copy_$I"},
};

class Operations : public FaultTest {
 protected:
  void CheckAll(tap::Action action) {
    // Before the mount looks: what is made behind its back is seen only after a second.
    int number = 0;
    for (const Row& row : kRows) {
      environment_["I"] = std::to_string(++number);
      ASSERT_EQ(Shell(row.prepare).exit_code, 0) << row.prepare;
    }
    Mount();
    number = 0;
    for (const Row& row : kRows) {
      SCOPED_TRACE(fmt::format("{}: {}", row.request, row.command));
      environment_["I"] = std::to_string(++number);
      const std::uint64_t before = service().counters().sftp.faults_fired;
      ASSERT_TRUE(service().node(0).ArmFault({.action = action, .request = row.request}).ok());
      const Finished done = Shell(row.command);
      EXPECT_EQ(done.exit_code, 0) << done.all() << Log();
      const Finished checked = Shell(row.check);
      EXPECT_EQ(checked.exit_code, 0) << checked.all();
      EXPECT_GT(service().counters().sftp.faults_fired, before) << "never asked for";
      service().node(0).ClearFaults();
    }
    std::cout << Status().reconnects << " reconnects\n";
  }
};

TEST_F(Operations, AreDoneOnceWhenTheirRequestIsLost) { CheckAll(tap::Action::kLoseRequest); }
TEST_F(Operations, AreDoneOnceWhenTheirReplyIsLost) { CheckAll(tap::Action::kLoseReply); }

}  // namespace
}  // namespace bt::fault
