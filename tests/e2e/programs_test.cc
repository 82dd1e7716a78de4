// Programs that expect a disk.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>

#include <fmt/format.h>

#include "tests/e2e/mounted_workspace.h"
#include "tests/e2e/tree.h"

namespace bt::e2e {
namespace {

class Programs : public MountedWorkspace {
 protected:
  // Gives what it said.
  std::string ExpectSuccess(const std::string& command) {
    const Finished ran = Shell(command, std::chrono::seconds(250));
    EXPECT_EQ(ran.exit_code, 0) << command << "\n" << ran.all().substr(0, 4000);
    return ran.out;
  }
};

TEST_F(Programs, GitClonesChecksAndCommits) {
  ExpectSuccess(R"(git init -q -b main repo && cd repo
    for i in $(seq 150); do mkdir -p dir$((i % 9)); seq $i 400 > dir$((i % 9))/file$i; done
    ln -s dir1/file1 link; printf '#!/bin/sh\n' > run; chmod +x run
    git add . && git commit -qm first && seq 9 > dir0/file9 && git commit -qam second)");
  ExpectSuccess("git clone -q --no-local $D/repo $M/repo");
  EXPECT_EQ(ExpectSuccess("git -C $M/repo fsck --full --no-progress 2>&1"), "");
  EXPECT_EQ(ExpectSuccess("git -C $M/repo status --porcelain"), "");
  ExpectSuccess(R"(cd $M/repo && echo more >> dir1/file1 && git rm -q dir2/file2 && git mv run walk
    git add . && git commit -qm third && git gc -q && git checkout -q HEAD~2 && git checkout -q main)");
  EXPECT_EQ(ExpectSuccess("git -C $M/repo status --porcelain"), "");
  EXPECT_EQ(ExpectSuccess("git -C $S/repo fsck --full --no-progress 2>&1; git -C $S/repo log --format=%s"),
            "third\nsecond\nfirst\n");
  EXPECT_EQ(ExpectSuccess("git -C $M/repo push -q $D/repo main:other && git -C $D/repo diff --stat other main | wc -l"),
            "4\n");
}

TEST_F(Programs, FioVerifiesWhatItWroteInAnyOrder) {
  const std::string common =
      "--filename=$M/fio --size=32M --verify=crc32c --verify_fatal=1 --do_verify=1 --output-format=terse "
      "--randrepeat=1 --fallocate=none";
  ExpectSuccess("fio --name=small --rw=randwrite --bs=4k --ioengine=psync " + common + " > fio.log");
  ExpectSuccess("fio --name=mixed --rw=randrw --bsrange=1k-300k --bs_unaligned --ioengine=psync --fsync=100 " + common +
                " > fio.log");
  ExpectSuccess("fio --name=mapped --rw=randwrite --bs=4k --ioengine=mmap --size=8M " + common +
                " --filename=$M/mapped --size=8M > fio.log");
}

TEST_F(Programs, SqliteKeepsItsDatabaseWhole) {
  std::string script = "CREATE TABLE numbers(n INTEGER PRIMARY KEY, text TEXT);\n";
  for (int block = 0; block < 10; ++block) {
    script += "BEGIN;\n";
    for (int i = 0; i < 100; ++i) {
      script += fmt::format("INSERT INTO numbers VALUES({}, hex(randomblob(50)));\n", block * 100 + i);
    }
    script += "COMMIT;\n";
  }
  script += "UPDATE numbers SET text = text || 'x' WHERE n % 3 = 0;\nDELETE FROM numbers WHERE n % 10 = 9;\n";
  WriteFile(local() / "script", script);
  ExpectSuccess("sqlite3 -bail $M/db < script");
  EXPECT_EQ(ExpectSuccess("sqlite3 $M/db 'PRAGMA integrity_check; SELECT count(*) FROM numbers;'"), "ok\n900\n");
  EXPECT_EQ(ExpectSuccess("sqlite3 $S/db 'PRAGMA integrity_check; SELECT count(*) FROM numbers;'"), "ok\n900\n");
  ExpectSuccess("cmp $M/db $S/db; test ! -e $S/db-journal");
  EXPECT_EQ(ExpectSuccess("sqlite3 $M/db 'VACUUM; PRAGMA integrity_check;' && sqlite3 $S/db 'PRAGMA integrity_check'"),
            "ok\nok\n");
}

TEST_F(Programs, EditorsSaveInPlaceAndByReplacing) {
  ExpectSuccess("seq 1000 > $M/f; chmod 640 $M/f; sed -i s/^5/five-/ $M/f");
  EXPECT_EQ(ExpectSuccess("grep -c five- $S/f; stat -c %a $S/f; ls -A $S"), "111\n640\nf\n");
  // As vim does it: a backup by rename, the new text under the old name, fsync, and the backup goes.
  ExpectSuccess(R"(python3 - $M/f <<'END'
import os, sys
path = sys.argv[1]
text = open(path).read()
mode = os.stat(path).st_mode
os.rename(path, path + '~')
fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
os.write(fd, text.upper().encode())
os.fsync(fd)
os.fchmod(fd, mode & 0o7777)
os.close(fd)
assert open(path).read() == text.upper()
os.unlink(path + '~')
# As others do it: a temporary file beside it, renamed over it.
fd = os.open(path + '.tmp', os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
os.write(fd, b'replaced\n')
os.fsync(fd)
os.close(fd)
os.replace(path + '.tmp', path)
directory = os.open(os.path.dirname(path), os.O_RDONLY)
os.fsync(directory)
END)");
  EXPECT_EQ(ExpectSuccess("cat $M/f $S/f; ls -A $S; stat -c %a $S/f"), "replaced\nreplaced\nf\n640\n");
}

TEST_F(Programs, VimAndEdSaveWhatWasEdited) {
  ExpectSuccess(R"(seq 1000 > $M/f; chmod 640 $M/f; export TERM=dumb HOME=$D
    for backupcopy in yes no auto; do
      vim -u NONE -es --cmd 'set nocompatible' -c "set backupcopy=$backupcopy backup writebackup" -c '%s/^5/V/' -c 'wq' $M/f
      vim -u NONE -es --cmd 'set nocompatible' -c "set backupcopy=$backupcopy" -c '%s/^V/5/' -c 'wq' $M/f
    done
    printf ',s/^7/E/\nw\nq\n' | ed -s $M/f; ex -s -u NONE -c '$d' -c 'x' $M/f)");
  EXPECT_EQ(ExpectSuccess("seq 999 | sed s/^7/E/ | cmp - $S/f; cmp $M/f $S/f; stat -c %a $S/f; ls -A $S"),
            "640\nf\n");  // the second save of each round takes the backup of the first away
}

TEST_F(Programs, SqliteWritesAheadAndRollsBack) {
  ExpectSuccess(R"(sqlite3 -bail $M/wal 'PRAGMA journal_mode=WAL; CREATE TABLE t(n);' > mode; grep -qx wal mode
    for i in $(seq 20); do sqlite3 -bail -cmd '.timeout 20000' $M/wal "INSERT INTO t VALUES($i);"; done
    (for i in $(seq 21 60); do sqlite3 -bail -cmd '.timeout 60000' $M/wal "INSERT INTO t VALUES($i);"; done) & a=$!
    for i in $(seq 61 100); do sqlite3 -bail -cmd '.timeout 60000' $M/wal "INSERT INTO t VALUES($i);"; done; wait $a
    sqlite3 $M/wal 'PRAGMA wal_checkpoint(TRUNCATE);' > checkpoint)");
  EXPECT_EQ(ExpectSuccess("sqlite3 $M/wal 'PRAGMA integrity_check; SELECT count(*), sum(n) FROM t;'"),
            "ok\n100|5050\n");
  EXPECT_EQ(ExpectSuccess("sqlite3 $S/wal 'PRAGMA integrity_check; SELECT count(*), sum(n) FROM t;'"),
            "ok\n100|5050\n");
  for (const char* mode : {"DELETE", "TRUNCATE", "PERSIST"}) {
    environment_["MODE"] = mode;
    ExpectSuccess(
        R"(rm -f $M/db*; sqlite3 -bail $M/db "PRAGMA journal_mode=$MODE; CREATE TABLE t(n); INSERT INTO t VALUES(1);
      BEGIN; INSERT INTO t VALUES(2); ROLLBACK; BEGIN; INSERT INTO t VALUES(3); COMMIT;" > mode)");
    EXPECT_EQ(ExpectSuccess("sqlite3 $S/db 'PRAGMA integrity_check; SELECT sum(n) FROM t;'"), "ok\n4\n") << mode;
  }
}

TEST_F(Programs, ArchivesAreUnpackedWithTheirTimes) {
  ExpectSuccess(R"(mkdir tree; for i in $(seq 60); do mkdir -p tree/d$((i % 5)); seq $i 300 > tree/d$((i % 5))/f$i; done
    touch -d '2021-01-01 01:01:02' tree/*/*; zip -qr tree.zip tree; tar -cf tree.tar tree
    cd $M && unzip -q $D/tree.zip && diff -r $D/tree $S/tree && rsync -ain --omit-dir-times $D/tree/ $M/tree/ > $D/said
    test ! -s $D/said && rm -r tree && tar -xf $D/tree.tar && diff -r $D/tree $S/tree && tar -df $D/tree.tar)");
}

TEST_F(Programs, NpmInstallsAPackage) {
  ExpectSuccess(R"(mkdir -p package/lib home; cd package; export HOME=$D/home npm_config_cache=$D/home/cache
    echo '{"name":"small","version":"1.0.0","main":"lib/index.js","bin":{"small":"lib/cli.js"}}' > package.json
    echo 'module.exports = 42;' > lib/index.js
    printf '#!/usr/bin/env node\nconsole.log(require("./index.js"));\n' > lib/cli.js; chmod +x lib/cli.js
    for i in $(seq 60); do echo "// $i" > lib/m$i.js; done
    npm pack --silent > ../packed; mkdir $M/app; cd $M/app; echo '{"name":"app","version":"1.0.0"}' > package.json
    npm install --silent --offline --no-audit --no-fund $D/package/small-1.0.0.tgz)");
  EXPECT_EQ(ExpectSuccess("cd $M/app; node_modules/.bin/small; ls $S/app/node_modules/small/lib | wc -l; "
                          "diff -r $D/package/lib $S/app/node_modules/small/lib"),
            "42\n62\n");
}

TEST_F(Programs, TailFollowsWhatTheJobAppends) {
  WriteFile(server() / "log", "first\n");
  Program tail({"tail", "-n", "+1", "-f", (mount() / "log").string()},
               {.environment = environment_, .directory = "/", .scratch = directory()});
  const auto wait_for = [&](const std::string& text) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (tail.OutputSoFar() != text && std::chrono::steady_clock::now() < deadline) {
      ::usleep(20'000);
    }
    EXPECT_EQ(tail.OutputSoFar(), text);
  };
  wait_for("first\n");
  std::string expected = "first\n";
  for (int line = 0; line < 3; ++line) {
    const UniqueFd log(::open((server() / "log").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
    const std::string text = fmt::format("line {}\n", line);
    ASSERT_EQ(::write(log.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    expected += text;
    wait_for(expected);
  }
  tail.Signal(SIGTERM);
  tail.Wait(std::chrono::seconds(30));
}

TEST_F(Programs, ManyAtOnceDisturbNobody) {
  ExpectSuccess(R"(for i in $(seq 8); do
    (mkdir $M/w$i && seq $i 3000 > $M/w$i/a && cp $M/w$i/a $M/w$i/b && mv $M/w$i/b $M/w$i/c && cmp $M/w$i/a $M/w$i/c &&
     find $M -type f -print0 | xargs -0 cat > /dev/null 2>&1 || true; seq $i 3000 | cmp - $S/w$i/c) & pids="${pids:-} $!"
  done
  for pid in $pids; do wait $pid; done)");
}

}  // namespace
}  // namespace bt::e2e
