// The promises of fs/SEMANTICS.md about data, 1 to 11: what is read and written. The others are in promises_test.cc.
#include <fstream>
#include <string>

#include "tests/e2e/promises.h"
#include "tests/support/standin/link.h"

namespace bt::e2e {
namespace {

TEST_F(Promises, No1ReadsEndOnlyAtTheEndOfTheFile) {
  WriteFile(server() / "f", Noise(3'000'000));
  EXPECT_EQ(Python("assert get(M + '/f') == get(S + '/f')\nfd = os.open(M + '/f', os.O_RDONLY)\n"
                   "assert len(os.pread(fd, 4096, 2999000)) == 1000 and os.pread(fd, 10, 3000000) == b''\n"),
            "");
  WriteFile(server() / "g", Noise(300'000));
  Break("read", 0);
  EXPECT_NE(Shell("cat $M/g > got").exit_code, 0);
  service().node(0).ClearFaults();
  Run("cmp $M/g $S/g");
}

TEST_F(Promises, No2WhatCloseOrFsyncReturnedForIsOnTheServer) {
  Python(R"(
for i in range(20):
    data = os.urandom(1 + i * 20011)
    fd = os.open(M + '/f%d' % i, os.O_WRONLY | os.O_CREAT, 0o644)
    os.write(fd, data)
    if i % 2:
        os.fsync(fd)
        assert get(S + '/f%d' % i) == data
        os.write(fd, b'more')
        data += b'more'
    os.close(fd)
    assert get(S + '/f%d' % i) == data
)");
}

TEST_F(Promises, No3AnErrorOfAWriteIsReportedOnceByTheSameDescriptor) {
  Break("write");
  Python(R"(
fd, other = os.open(M + '/f', os.O_WRONLY | os.O_CREAT), os.open(M + '/g', os.O_WRONLY | os.O_CREAT)
os.write(fd, b'lost')
fails('EIO', os.fsync, fd)
os.fsync(fd)
os.fsync(other)
os.pwrite(fd, b'kept', 0)
os.close(fd)
assert get(S + '/f') == b'kept'
)");
  Break("write");
  Python("fd = os.open(M + '/f', os.O_WRONLY)\nos.write(fd, b'lost')\nfails('EIO', os.close, fd)\n");
}

TEST_F(Promises, No4SmallWritesAreGatheredButNeverHeldForLong) {
  const auto before = service().counters().sftp.requests["write"];
  Python(R"(
fd = os.open(M + '/f', os.O_RDWR | os.O_CREAT)
for i in range(1000): os.write(fd, b'line\n')
os.fsync(fd)
assert get(S + '/f') == b'line\n' * 1000
)");
  const auto writes = service().counters().sftp.requests["write"] - before;
  EXPECT_LE(writes, 100U) << "a thousand small writes";
  Python(R"(
fd = os.open(M + '/f', os.O_RDWR | os.O_APPEND)
os.write(fd, b'last')
within(5, lambda: get(S + '/f').endswith(b'last'))  # nobody asked for it
fd = os.open(M + '/big', os.O_WRONLY | os.O_CREAT)
for i in range(100): os.write(fd, bytes(1 << 20))  # more than may be unwritten
os.close(fd)
assert os.stat(S + '/big').st_size == 100 << 20
)");
}

TEST_F(Promises, No5ProgramsHereReadAtOnceWhatProgramsHereWrote) {
  Python(R"(
w = os.open(M + '/f', os.O_WRONLY | os.O_CREAT)
r = os.open(M + '/f', os.O_RDONLY)
for i in range(30):
    os.pwrite(w, b'%08d' % i, i * 8)
    assert os.pread(r, 8, i * 8) == b'%08d' % i
    assert os.fstat(r).st_size == i * 8 + 8 and os.stat(M + '/f').st_size == i * 8 + 8
os.ftruncate(w, 5)
assert os.pread(r, 100, 0) == b'00000'
)");
}

TEST_F(Promises, No6ChangesOnTheServerAreSeenByTheNextOpenAndByStatWithinASecond) {
  Python(R"(
put(S + '/f', b'old')
assert get(M + '/f') == b'old'
put(S + '/f', b'newer')
assert get(M + '/f') == b'newer'
os.stat(M + '/f')
put(S + '/f', b'newer and longer')
within(5, lambda: os.stat(M + '/f').st_size == 16)
)");
}

TEST_F(Promises, No7AppendsOfTwoProgramsDoNotCutEachOthersLines) {
  Python(R"(
writer = '''
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
for i in range(400):
    os.write(fd, (sys.argv[2] + ' %d ' % i + sys.argv[2] * (i * 7 % 900) + '\\n').encode())
'''
both = [subprocess.Popen([sys.executable, '-c', writer, M + '/log', name]) for name in 'ab']
assert [p.wait() for p in both] == [0, 0]
lines = get(S + '/log').decode().split('\n')[:-1]
assert len(lines) == 800
for name in 'ab':
    mine = [l for l in lines if l[0] == name]
    assert mine == ['%s %d %s' % (name, i, name * (i * 7 % 900)) for i in range(400)]
)");
}

TEST_F(Promises, No8OpenFlagsTruncationAndHolesAreReal) {
  Python(R"(
fd = os.open(M + '/f', os.O_WRONLY | os.O_CREAT | os.O_EXCL)
fails('EEXIST', os.open, M + '/f', os.O_WRONLY | os.O_CREAT | os.O_EXCL)
os.symlink('nowhere', M + '/dangling')
fails('EEXIST', os.open, M + '/dangling', os.O_WRONLY | os.O_CREAT | os.O_EXCL)
os.write(fd, b'something'); os.close(fd)
os.close(os.open(M + '/f', os.O_WRONLY | os.O_TRUNC))
assert os.stat(S + '/f').st_size == 0
fd = os.open(M + '/f', os.O_RDWR)
os.pwrite(fd, b'end', 5 << 30)
os.fsync(fd)
there = os.stat(S + '/f')
assert there.st_size == (5 << 30) + 3 and there.st_blocks < 10000
assert os.pread(fd, 4, 1 << 30) == bytes(4) and os.pread(fd, 9, 5 << 30) == b'end'
os.truncate(M + '/f', 10)
os.ftruncate(fd, 20)
assert get(S + '/f') == bytes(20)
)");
}

TEST_F(Promises, No9OpenFilesGoOnWhenTheyOrTheirDirectoriesAreRemovedOrRenamed) {
  Python(R"(
fd = os.open(M + '/f', os.O_RDWR | os.O_CREAT)
os.write(fd, b'one')
os.unlink(M + '/f')
os.write(fd, b'two')
assert os.pread(fd, 10, 0) == b'onetwo' and os.fstat(fd).st_nlink == 0 and os.listdir(S) == []
os.close(fd)
os.makedirs(M + '/a/b')
fd = os.open(M + '/a/b/f', os.O_RDWR | os.O_CREAT)
os.write(fd, b'one')
os.rename(M + '/a', M + '/z')
os.write(fd, b'two')
os.fchmod(fd, 0o600)
os.close(fd)
assert get(S + '/z/b/f') == b'onetwo' == get(M + '/z/b/f') and os.stat(S + '/z/b/f').st_mode & 0o777 == 0o600
)");
}

TEST_F(Promises, No10MappedFilesAreOnTheServerAfterMsync) {
  Python(R"(
put(M + '/f', bytes(100000))
fd = os.open(M + '/f', os.O_RDWR)
with mmap.mmap(fd, 0) as m:
    m[50000:50005] = b'hello'
    m.flush()
    assert get(S + '/f')[50000:50005] == b'hello' == get(M + '/f')[50000:50005]
    m[0:3] = b'end'
os.close(fd)
assert get(S + '/f')[:3] == b'end'
)");
}

TEST_F(Promises, No11CopiesWithinTheMountAreMadeByTheServer) {
  WriteFile(server() / "from", Noise(20'000'000));
  const auto before = service().counters().sftp;
  Run("cp $M/from $M/to && cmp $S/from $S/to");
  const auto after = service().counters().sftp;
  EXPECT_GE(after.requests.at("copy-data"), 1U);
  EXPECT_LE(after.bytes_read - before.bytes_read, 65536U + 4096U);  // and a look at /proc on each new channel
  EXPECT_LE(after.bytes_written - before.bytes_written, 65536U);
  Python(R"(
a, b = os.open(M + '/from', os.O_RDONLY), os.open(M + '/part', os.O_WRONLY | os.O_CREAT)
assert os.copy_file_range(a, b, 1000000, 5, 7) == 1000000
os.close(b)
assert get(S + '/part') == bytes(7) + get(S + '/from')[5:1000005]
)");
}

}  // namespace
}  // namespace bt::e2e
