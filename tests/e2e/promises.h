// The fixture of the numbered promises of fs/SEMANTICS.md: a mounted workspace, a shell and Python.
#pragma once

#include <string>

#include "tests/e2e/mounted_workspace.h"
#include "tests/e2e/tree.h"

namespace bt::e2e {

class Promises : public MountedWorkspace {
 protected:
  // What it said on standard output; a failure fails the test.
  std::string Run(const std::string& command, std::chrono::seconds limit = std::chrono::seconds(200)) {
    const Finished ran = Shell(command, limit);
    EXPECT_EQ(ran.exit_code, 0) << command << "\n" << ran.all().substr(0, 4000);
    return ran.out;
  }
  // The same in Python: M and S are the mount and the server's side; fails(errno name, call, ...) asserts an error.
  std::string Python(const std::string& script, std::chrono::seconds limit = std::chrono::seconds(200)) {
    WriteFile(local() / "script.py", R"(import ctypes, errno, fcntl, mmap, os, stat, subprocess, sys, time
M, S, D = os.environ['M'], os.environ['S'], os.environ['D']
def fails(name, call, *args):
    try:
        call(*args)
    except OSError as e:
        assert errno.errorcode[e.errno] == name, (errno.errorcode[e.errno], name)
        return
    assert False, 'no ' + name
def put(path, data, mode='wb'):
    with open(path, mode) as f: f.write(data)
def get(path):
    with open(path, 'rb') as f: return f.read()
def within(seconds, what):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, 'not in time'
        time.sleep(0.02)
)" + script);
    return Run("python3 script.py", limit);
  }
  void Break(const std::string& request, std::uint32_t times = 1) {
    ASSERT_TRUE(service().node(0).ArmFault({.action = tap::Action::kFail, .request = request, .times = times}).ok());
  }
};

}  // namespace bt::e2e
