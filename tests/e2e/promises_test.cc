// The numbered promises of fs/SEMANTICS.md, one test each, in its order; 1 to 11 are in promises_data_test.cc.
#include <unistd.h>

#include <cctype>
#include <fstream>
#include <set>
#include <string>

#include "tests/e2e/promises.h"
#include "tests/support/standin/link.h"

#ifndef BT_SEMANTICS
#error "BT_SEMANTICS comes from CMake"
#endif

namespace bt::e2e {
namespace {

TEST(SemanticsDocument, EveryNumberHasATestOfItsName) {
  std::ifstream document(BT_SEMANTICS);
  std::set<int> promised;
  for (std::string line; std::getline(document, line);) {
    const std::size_t dot = line.find(". ");
    if (dot != std::string::npos && dot > 0 && std::isdigit(static_cast<unsigned char>(line[0])) != 0) {
      promised.insert(std::stoi(line.substr(0, dot)));
    }
  }
  ASSERT_FALSE(promised.empty()) << BT_SEMANTICS;
  std::set<int> tested;
  const testing::UnitTest& all = *testing::UnitTest::GetInstance();
  for (int i = 0; i < all.total_test_suite_count(); ++i) {
    const testing::TestSuite& suite = *all.GetTestSuite(i);
    for (int j = 0; std::string(suite.name()) == "Promises" && j < suite.total_test_count(); ++j) {
      tested.insert(std::stoi(std::string(suite.GetTestInfo(j)->name()).substr(2)));
    }
  }
  EXPECT_EQ(promised, tested);
}

TEST_F(Promises, No12RenameReplacesAtomically) {
  Python(R"(
put(M + '/target', b'0' * 1000)
reader = subprocess.Popen([sys.executable, '-c', """
import sys, time
end = time.monotonic() + 2
while time.monotonic() < end:
    text = open(sys.argv[1], 'rb').read()
    assert len(text) == 1000 and len(set(text)) == 1, text[:50]
""", M + '/target'])
for i in range(60):
    put(M + '/next', b'%d' % (i % 10) * 1000)
    os.rename(M + '/next', M + '/target')
assert reader.wait() == 0
held = os.open(M + '/target', os.O_RDWR)
put(M + '/other', b'other')
os.rename(M + '/other', M + '/target')
os.write(held, b'still there')
os.close(held)
assert get(S + '/target') == b'other'
libc = ctypes.CDLL(None, use_errno=True)
put(M + '/one', b'1')
def renameat2(a, b, flags):
    if libc.renameat2(-100, os.fsencode(a), -100, os.fsencode(b), flags) != 0: raise OSError(ctypes.get_errno(), '')
fails('EEXIST', renameat2, M + '/one', M + '/target', 1)
fails('EINVAL', renameat2, M + '/one', M + '/target', 2)
assert get(S + '/one') == b'1'
)");
}

TEST_F(Promises, No13NamesAreBytes) {
  Python(R"(
m, s = os.fsencode(M), os.fsencode(S)
names = {b'x' * 255, b'\xff\xfe', b'new\nline', b' ', b'*', b'-rf', 'Größe'.encode(), bytes(range(1, 47)), bytes(range(48, 256))}
for n in names: put(m + b'/' + n, n)
assert set(os.listdir(s)) == names == set(os.listdir(m))
for n in names: assert get(s + b'/' + n) == n == get(m + b'/' + n)
fails('ENAMETOOLONG', put, m + b'/' + b'x' * 256, b'')
)");
}

TEST_F(Promises, No14TimesAreReadBackAsSetAlsoAfterARemount) {
  Python(R"(
put(M + '/closed', b'x')
os.utime(M + '/closed', ns=(1500000000123456789, 1500000001987654321))
fd = os.open(M + '/open', os.O_WRONLY | os.O_CREAT)
os.write(fd, b'x')
os.utime(fd, ns=(1500000000123456789, 1500000001987654321))
os.fchmod(fd, 0o640)
os.close(fd)
os.mkdir(M + '/dir'); put(M + '/dir/f', b'')
os.utime(M + '/dir/f', ns=(5, 7))
os.rename(M + '/dir', M + '/moved')
)");
  const std::string look = R"(
for n in 'closed', 'open':
    s = os.stat(M + '/' + n)
    assert (s.st_atime_ns, s.st_mtime_ns, s.st_ctime_ns) == (1500000000123456789, 1500000001987654321, 1500000001987654321), s
    assert os.stat(S + '/' + n).st_mtime_ns == 1500000001000000000
assert os.stat(M + '/moved/f').st_mtime_ns == 7
print([(s.st_ino, s.st_mode, s.st_ctime_ns, s.st_nlink) for s in (os.stat(M + '/' + n) for n in ('closed', 'open'))])
)";
  const std::string before = Python(look);
  Unmount(mount());
  Mount();
  EXPECT_EQ(Python(look), before) << "git compares these";
  Python(R"(
with open(M + '/closed', 'ab') as f: f.write(b'y')
s = os.stat(M + '/closed')
assert s.st_mtime_ns % 1000000000 == 0 and s.st_mtime == int(os.stat(S + '/closed').st_mtime)
os.utime(S + '/open', (1, 1))
within(5, lambda: os.stat(M + '/open').st_mtime_ns == 1000000000)
)");
}

TEST_F(Promises, No15ChangesAreDoneOrFail) {
  const auto before = service().counters().sftp.requests;
  Python(R"(
fd = os.open(M + '/f', os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
os.fchmod(fd, 0o644)
os.write(fd, b'x' * 1000)
os.utime(fd, (1000, 2000))
os.fchmod(fd, 0o640)
assert os.fstat(fd).st_mode & 0o777 == 0o640 and os.fstat(fd).st_mtime == 2000
os.close(fd)
s = os.stat(S + '/f')
assert (s.st_mode & 0o777, s.st_atime, s.st_mtime, s.st_size) == (0o640, 1000, 2000, 1000)
)");
  auto after = service().counters().sftp.requests;
  EXPECT_EQ(after["setstat"], before.contains("setstat") ? before.at("setstat") : 0U);
  EXPECT_EQ(after["lsetstat"], before.contains("lsetstat") ? before.at("lsetstat") : 0U);
  Break("fsetstat");
  Python(
      "fd = os.open(M + '/g', os.O_WRONLY | os.O_CREAT)\nos.write(fd, b'x')\nos.fchmod(fd, 0o600)\n"
      "fails('EIO', os.close, fd)\nassert get(S + '/g') == b'x'\n");
  Break("fsetstat");
  Python(R"(
for i in range(9):  # a machine that stood still between close and utime has its times set by themselves
    put(M + '/h', b'x'); os.utime(M + '/h', (1000, 2000))
    try: os.rename(M + '/h', M + '/i')
    except OSError as e: assert e.errno == errno.EIO and get(S + '/i') == b'x'; break
    assert os.stat(S + '/i').st_mtime == 2000
else: assert False, 'nobody was told'
)");
  Break("setstat", 0);
  Break("lsetstat", 0);
  Python("fails('EIO', os.chmod, M + '/f', 0o600)\nfails('EIO', os.utime, M + '/f', (1, 1))\n");
}

TEST_F(Promises, No16TheServersUserIsShownAsYou) {
  Python(R"(
put(M + '/f', b'')
assert os.stat(M + '/f').st_uid == os.getuid() and os.stat(M + '/f').st_gid == os.getgid()
if os.getuid() == 0:
    os.chown(S + '/f', 1234, 5678)
    within(5, lambda: (os.stat(M + '/f').st_uid, os.stat(M + '/f').st_gid) == (1234, 5678))
)");
}

TEST_F(Promises, No17NothingIsBelievedForMoreThanASecond) {
  Python(R"(
assert not os.path.exists(M + '/later')
put(S + '/later', b'x')
within(5, lambda: os.path.exists(M + '/later'))
os.unlink(S + '/later')
within(5, lambda: not os.path.exists(M + '/later') and os.listdir(M) == [])
)");
}

TEST_F(Promises, No18SymlinksDoNotLeadOutOfTheMount) {
  Python(R"(
put(S + '/f', b'x')
os.symlink('f', M + '/relative'); os.symlink(S + '/f', S + '/inside'); os.symlink('/etc/passwd', S + '/outside')
assert os.readlink(M + '/relative') == 'f' == os.readlink(S + '/relative')
assert get(M + '/relative') == b'x' == get(M + '/inside') and not os.readlink(M + '/inside').startswith('/')
fails('EACCES', open, M + '/outside')
)");
}

TEST_F(Promises, No19HardLinksAreRealAndSeeEachOther) {
  Python(R"(
put(M + '/a', b'one')
os.link(M + '/a', M + '/b')
assert os.stat(S + '/a').st_ino == os.stat(S + '/b').st_ino
names = [M + '/a', M + '/b']
for i in range(20):
    put(names[i % 2], b'text %d' % i)
    assert get(names[(i + 1) % 2]) == b'text %d' % i
with open(names[0], 'r+b', buffering=0) as one, open(names[1], 'r+b', buffering=0) as other:
    for i in range(20):  # of one size, within one second
        writer, reader = (one, other) if i % 2 == 0 else (other, one)
        os.pwrite(writer.fileno(), b'same size %03d' % i, 0)
        assert os.pread(reader.fileno(), 100, 0) == b'same size %03d' % i, i
        assert os.stat(names[i % 2]).st_size == os.fstat(reader.fileno()).st_size == 13
    os.pwrite(one.fileno(), b'more', 13)
    assert os.stat(names[1]).st_size == 17
    os.ftruncate(other.fileno(), 4)
    assert os.stat(names[0]).st_size == 4
for mode in 0o600, 0o640:
    os.chmod(names[1], mode)
    assert os.stat(names[0]).st_mode & 0o777 == mode
os.unlink(M + '/a')
assert get(M + '/b') == b'same' == get(S + '/b')
# Made by the server: within a second.
put(S + '/c', b'one')
os.link(S + '/c', S + '/d')
put(M + '/c', b'other')
within(5, lambda: os.path.exists(M + '/d') and get(M + '/d') == b'other')
)");
}

TEST_F(Promises, No20LocksHoldAmongProgramsOnThisMount) {
  Python(R"(
put(M + '/f', b'x')
one, two = open(M + '/f', 'r+b'), open(M + '/f', 'r+b')
fcntl.flock(one, fcntl.LOCK_EX)
fails('EAGAIN', fcntl.flock, two, fcntl.LOCK_EX | fcntl.LOCK_NB)
fcntl.flock(open(S + '/f', 'rb'), fcntl.LOCK_EX | fcntl.LOCK_NB)  # the server knows nothing of it
fcntl.lockf(one, fcntl.LOCK_EX, 1)
child = 'import fcntl,sys; fcntl.lockf(open(sys.argv[1], "r+b"), fcntl.LOCK_EX | fcntl.LOCK_NB, 1)'
assert subprocess.run([sys.executable, '-c', child, M + '/f'], stderr=subprocess.DEVNULL).returncode != 0
)");
}

TEST_F(Promises, No21WhatSftpCannotDoIsRefused) {
  Python(R"(
put(M + '/f', b'x')
fails('ENOTSUP', os.setxattr, M + '/f', 'user.x', b'y')
fails('ENOTSUP', os.getxattr, M + '/f', 'user.x')
fails('EPERM', os.mkfifo, M + '/fifo')
fails('EPERM', os.mknod, M + '/device', stat.S_IFCHR | 0o600, os.makedev(1, 3))
libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
fd = os.open(M + '/f', os.O_RDWR)
assert libc.fallocate(fd, 0, 0, 100) == -1 and ctypes.get_errno() == errno.EOPNOTSUPP
assert os.listdir(S) == ['f'] and get(S + '/f') == b'x'
)");
}

TEST_F(Promises, No22ErrorsSayWhatIsWrong) {
  Python(R"(
os.mkdir(M + '/dir'); put(M + '/dir/f', b''); put(M + '/file', b''); os.mkdir(M + '/empty')
fails('EEXIST', os.mkdir, M + '/dir')
fails('EEXIST', os.symlink, 'x', M + '/file')
fails('EEXIST', os.link, M + '/file', M + '/dir/f')
fails('ENOTEMPTY', os.rmdir, M + '/dir')
fails('ENOTEMPTY', os.rename, M + '/empty', M + '/dir')
fails('ENOTDIR', os.rmdir, M + '/file')
fails('ENOTDIR', os.rename, M + '/empty', M + '/file')
fails('EISDIR', os.unlink, M + '/dir')
fails('EISDIR', os.rename, M + '/file', M + '/empty')
fails('EISDIR', open, M + '/dir', 'w')
fails('ENAMETOOLONG', os.mkdir, M + '/' + 'x' * 256)
fails('ENOENT', os.rename, M + '/nothing', M + '/else')
fails('EINVAL', os.rename, M + '/dir', M + '/dir/below')
)");
}

TEST_F(Promises, No23TheMountIsOfTheUserAndCannotRaisePrivileges) {
  const std::string options = Run("grep \" $M \" /proc/self/mounts");
  EXPECT_NE(options.find("nosuid,nodev"), std::string::npos) << options;
  EXPECT_EQ(options.find("allow_other"), std::string::npos) << options;
}

TEST_F(Promises, No24ASignalEndsAnyWait) {
  WriteFile(server() / "f", Noise(1'000'000));
  service().link().Stall();
  // The shell's own clock is enough: the wait would last 30 seconds.
  Run("before=$SECONDS; timeout -s KILL 1 cat $M/f > got && exit 1; test $((SECONDS - before)) -lt 20");
  service().link().EndStall();
  Run("cmp $M/f $S/f");
}

TEST_F(Promises, No25OpenFilesOutliveTheConnection) {
  WriteFile(local() / "writer.py",
            "import os, sys, time\nfd = os.open(os.environ['M'] + '/g', os.O_RDWR | os.O_CREAT)\n"
            "os.write(fd, b'one'); os.fsync(fd)\nopen('ready', 'w').close()\n"
            "while not os.path.exists('cut'): time.sleep(0.02)\n"
            "os.write(fd, b'two'); os.fsync(fd)\nassert os.pread(fd, 9, 0) == b'onetwo'\n");
  environment_["M"] = mount().string();
  Program writer({"python3", "writer.py"}, {.environment = environment_, .directory = local(), .scratch = directory()});
  Run("until test -e ready; do sleep 0.02; done");
  service().link().CutAll();
  WriteFile(local() / "cut", "");
  const Finished wrote = writer.Wait(std::chrono::seconds(100));
  EXPECT_EQ(wrote.exit_code, 0) << wrote.all();
  EXPECT_EQ(ReadFile(server() / "g"), "onetwo");
}

}  // namespace
}  // namespace bt::e2e
