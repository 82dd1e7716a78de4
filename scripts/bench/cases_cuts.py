"""Copying while the link is cut again and again: what becomes of the bytes, and whether the program says so."""

import os
import time
from collections import Counter
from contextlib import contextmanager

from processes import StepFailed, StepTimeout, run as run_program
from workspace import WrongBytes

SHORTEST_MS, LONGEST_MS = 300, 2000  # between two cuts
RATE = 25_000_000  # bytes a second: each copy takes long enough to be cut
LATER_SECONDS = 60  # for a program that writes after it has said that it did


@contextmanager
def _cutting(run):
    standin = run.place.standin
    standin.command("cut-every", seed=run.round, min=SHORTEST_MS, max=LONGEST_MS)
    try:
        yield
    finally:
        standin.command("cut-every", seed=run.round, min=0, max=0)


def _same(run, left, right):
    return os.path.exists(right) and run.program("cmp", "-s", left, right, check=False)[2] == 0


def _copy(run, source, target, result):
    """One word for what happened. `result` is where the bytes should be then, on a disk."""
    try:
        status, _ = run_program(["cp", source, target], run.settings.patience, run.place.environment, check=False)
    except StepTimeout:
        return "hung"
    if status != 0:
        return "failed"
    return "whole" if _same(run, run.workspace.make_cut_file(), result) else "wrong"


def _usable(run):
    try:
        return run_program(["ls", run.peer.root], run.settings.patience, check=False)[0] == 0
    except StepTimeout:
        return False


def _copies(run, case, path_of):
    """Copies one file after another; a mount that is of no use any more is made anew, while nothing is cut."""
    run.mount_cold()
    run.place.standin.command("rate", rate=RATE)
    before = run.place.standin.command("counters")["link"]["cuts"]
    outcomes = Counter()
    suspicious = []
    started = time.perf_counter()
    done = 0
    while done < run.sizes.cut_copies:
        with _cutting(run):
            word = "whole"
            while word == "whole" and done < run.sizes.cut_copies:
                source, target, result = path_of(done)
                word = _copy(run, source, target, result)
                outcomes[word] += word != "wrong"
                if word == "wrong":
                    suspicious.append(result)
                done += 1
        if word != "whole" and not _usable(run):
            outcomes["remounts needed"] += 1
            run.peer.abort()
            run.peer.mount()
    seconds = time.perf_counter() - started
    give_up = time.perf_counter() + LATER_SECONDS
    for result in suspicious:
        while not (whole := _same(run, run.workspace.make_cut_file(), result)) and time.perf_counter() < give_up:
            time.sleep(0.5)
        outcomes["whole only later"] += whole
        outcomes["wrong or short, and said to be done"] += not whole
    cuts = run.place.standin.command("counters")["link"]["cuts"] - before
    told = ", ".join(f"{count} {word}" for word, count in outcomes.items() if count)
    if run.peer.name == "bt-mount" and suspicious:
        raise WrongBytes(f"{case}: {told}")
    run.add(case, seconds, note=f"{cuts} connections cut; of {done} copies: {told}")
    if run.peer.name == "bt-mount" and outcomes["whole"] != done:
        raise StepFailed(f"{case}: {told}")


def cuts(run):
    """Down, and then up."""
    file = run.workspace.make_cut_file()

    def down(number):
        target = run.scratch(f"cut-{number}")
        return run.here(f"{os.path.basename(file)}-{number}"), target, target

    def up(number):
        copy = f"up-{run.peer.name}-{run.round}-{number}"
        return file, run.here(copy), run.there(copy)

    _copies(run, "cuts-down", down)
    _copies(run, "cuts-up", up)


CASES = {"cuts": (cuts, False, ["cuts-down", "cuts-up"], {"sshfs-reconnect"})}
