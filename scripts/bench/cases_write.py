"""Writing: small files one by one, rsync both ways, a clone, and one big file with fsync."""

import os
import shutil
import time

from processes import StepFailed
from workspace import WrongBytes


def _fresh(run, name):
    """A name on the server's side that is not there."""
    shutil.rmtree(run.there(name), ignore_errors=True)
    if os.path.exists(run.there(name)):
        os.unlink(run.there(name))
    return name


def create_small(run):
    name = _fresh(run, f"created-{run.peer.name}")
    run.mount_cold()
    with run.metered() as meter:
        answer = run.work("create", directory=run.here(name), server=run.there(name), count=run.sizes.created, size=3000,
                          seed=run.round)
    late = answer["late"]
    if late and run.peer.name == "bt-mount":
        raise WrongBytes(f"{late} files were not whole on the server when close() had returned")
    run.add("create-100", answer["seconds"], **meter,
            **({"note": f"{late} not on the server at close()"} if late else {}))


def _compare(run, left, right, what):
    """Contents, and for files modes and times to the second."""
    _, text, status = run.program("diff", "-r", left, right, check=False)
    if status != 0:
        raise WrongBytes(f"{what}: {text.splitlines()[:2]}")
    wrong = 0
    for one in os.listdir(left):
        a, b = os.stat(f"{left}/{one}"), os.stat(f"{right}/{one}")
        wrong += a.st_mode != b.st_mode or int(a.st_mtime) != int(b.st_mtime)
    if wrong and run.peer.name == "bt-mount":
        raise WrongBytes(f"{what}: {wrong} modes or times differ")
    return {"note": f"{wrong} modes or times differ"} if wrong else {}


def _wait_until_whole(run, source, target):
    """For a program that uploads later: how long until the server has it all."""
    started = time.perf_counter()
    while time.perf_counter() - started < run.settings.patience:
        _, _, status = run.program("diff", "-rq", source, target, check=False)
        if status == 0:
            return time.perf_counter() - started
        time.sleep(0.1)
    raise StepFailed(f"not whole on the server {run.settings.patience:.0f} s later")


def rsync(run):
    """Up, again without changes, and down through a mount that knows nothing."""
    source = os.path.join(run.place.work, run.workspace.make_small_files("rsync-source", run.place.work))
    name = _fresh(run, f"rsync-{run.peer.name}")
    run.mount_cold()
    with run.metered() as meter:
        seconds, _, _ = run.program("rsync", "-a", f"{source}/", f"{run.here(name)}/")
    if run.peer.name == "rclone":
        later = _wait_until_whole(run, source, run.there(name))
        meter["note"] = f"on the server {later:.1f} s later"
    note = _compare(run, source, run.there(name), "rsync up")
    run.add("rsync-up", seconds, **{**meter, **note})
    with run.metered() as meter:
        seconds, text, _ = run.program("rsync", "-ai", f"{source}/", f"{run.here(name)}/")
    itemised = len(text.splitlines())
    if itemised and run.peer.name in ("bt-mount", "local"):
        raise WrongBytes(f"rsync -ai of an unchanged tree itemised {text.splitlines()[:3]}")
    run.add("rsync-again", seconds, **meter, **({"note": f"{itemised} itemised"} if itemised else {}))
    run.mount_cold()
    down = run.scratch("rsync-down")
    with run.metered() as meter:
        seconds, _, _ = run.program("rsync", "-a", f"{run.here(name)}/", f"{down}/")
    note = _compare(run, source, down, "rsync down")
    run.add("rsync-down", seconds, **{**meter, **note})


def git_clone(run):
    source = run.workspace.make_repository(run.place.work, "clone-master", run.sizes.clone_files)
    name = _fresh(run, f"clone-{run.peer.name}")
    run.mount_cold()
    with run.metered() as meter:
        # Objects are copied as a clone over a network would make them, not linked.
        seconds, _, _ = run.program("git", "clone", "-q", "--no-local", source, run.here(name))
    run.add("git-clone", seconds, **meter)
    with run.metered() as meter:
        seconds, _, _ = run.program("git", "-C", run.here(name), "fsck", "--strict")
        _, text, _ = run.program("git", "-C", run.here(name), "status", "--porcelain")
    if text and run.peer.name == "bt-mount":
        raise WrongBytes(f"a fresh clone has changes: {text.splitlines()[:3]}")
    run.add("git-fsck+status", seconds, **meter)


def write_sequential(run):
    source = run.workspace.make_source()
    name = _fresh(run, f"written-{run.peer.name}")
    run.mount_cold()
    control = run.place.standin.control_path if run.peer.name != "local" else None
    with run.metered() as meter:
        answer = run.work("write", path=run.here(name), source=source, server=run.there(name), control=control,
                          size=run.sizes.write)
    if answer["on_server"]:
        run.add("write-seq", answer["seconds"], bytes=run.sizes.write, **meter)
        return
    if run.peer.name == "bt-mount":
        raise WrongBytes("the server's file was not whole when fsync had returned")
    # Not what was asked for: it is measured until the server has it.
    started = time.perf_counter()
    while True:
        _, text, _ = run.program("sha256sum", run.there(name), check=False)
        if text.split(" ")[0] == answer["sha256"]:
            break
        if time.perf_counter() - started > 2 * run.settings.patience:
            raise StepFailed("not whole on the server long after close()")
        time.sleep(0.1)
    seconds = answer["seconds"] + answer["close_seconds"] + time.perf_counter() - started
    run.add("write-seq", seconds, bytes=run.sizes.write, note="fsync did not wait for the server; timed until whole there",
            **meter)


CASES = {
    "create-100": (create_small, True, ["create-100"], {"local"}),
    "rsync": (rsync, True, ["rsync-up", "rsync-again", "rsync-down"], {"local"}),
    "git-clone": (git_clone, True, ["git-clone", "git-fsck+status"], {"local"}),
    "write-seq": (write_sequential, False, ["write-seq"], {"local"}),
}
