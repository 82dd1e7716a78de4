"""External steps with a deadline, and what the processes of a program cost, from /proc."""

import os
import signal
import subprocess

TICKS = os.sysconf("SC_CLK_TCK")


class StepFailed(Exception):
    """A step of a case did not work; the case is reported as failed and the run goes on."""


class StepTimeout(StepFailed):
    """A step did not end in time; its mount must be aborted."""


def run(argv, seconds, environment=None, cwd=None, output=None, check=True, called=None):
    """Runs a program (`called` so in messages) to its end. Returns (exit status, standard output as text, or None when `output` is a file). Kills
    it, and what it started, after `seconds`."""
    called = called or os.path.basename(argv[0])
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=output if output is not None else subprocess.PIPE,
        stderr=subprocess.PIPE, env=environment, cwd=cwd, start_new_session=True)
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        kill_group(process.pid)
        _reap(process)
        raise StepTimeout(f"{called} did not end in {seconds:.0f} s") from None
    except BaseException:
        kill_group(process.pid)
        raise
    if check and process.returncode != 0:
        last = err.decode(errors="replace").strip().splitlines()[-1:] or ["nothing said"]
        raise StepFailed(f"{called} exited with {process.returncode}: {last[0][:300]}")
    return process.returncode, None if output is not None else out.decode(errors="surrogateescape")


def _reap(process):
    """A process in an uninterruptible wait dies only when its mount is aborted, so nobody waits long for it here."""
    try:
        process.wait(timeout=2)
    except subprocess.TimeoutExpired:
        pass
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def kill_group(pid):
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _stat(pid):
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()  # the name may hold spaces: fields count from behind it


def marked(mark):
    """The living processes that have `mark` ("NAME=value") in their environment. A tree of parents would not do: sshfs
    lets its ssh be adopted by init."""
    found = []
    needle = b"\0" + mark.encode() + b"\0"
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/environ", "rb") as file:
                    if needle in b"\0" + file.read():
                        found.append(int(name))
            except OSError:
                pass  # somebody else's, or ended meanwhile
    return found


def kill_all(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def cpu_seconds(pids):
    """User and system time of processes and of their children that ended."""
    ticks = 0
    for pid in pids:
        try:
            ticks += sum(int(field) for field in _stat(pid)[11:15])
        except OSError:
            pass
    return ticks / TICKS


def peak_memory_bytes(pids):
    """The sum of the peaks (VmHWM): an upper bound of the peak of the sum."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/status") as file:
                for line in file:
                    if line.startswith("VmHWM:"):
                        total += int(line.split()[1]) * 1024
        except OSError:
            pass
    return total
