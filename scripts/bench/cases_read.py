"""Reading big files: in order, warm, at random, mapped, on several threads, and what a lookup costs beside it."""

import os
import random
import statistics

from targets import percentile

MIB = 1 << 20
RANDOM_BYTES = 64 << 10
THREADS = 4


def _read(run, case, name, size=None, drop=False, threads=None):
    """Reads a file through the mount and adds the sample. Returns the number of bytes read within the patience."""
    size = run.sizes.big if size is None else size
    words = {"path": run.here(name), "size": size, "patience": run.settings.patience, "drop": drop}
    with run.metered() as meter:
        if threads:
            answer = run.work("read_threads", threads=threads, **words)
        else:
            answer = run.work("read", **words)
    got = sum(part[1] for part in answer["parts"])
    whole = answer["seconds"] < run.settings.patience
    run.workspace.check_parts(name, answer["parts"], size if whole else None)
    run.add(case, answer["seconds"] * size / max(got, 1), bytes=size, bytes_read=got, **meter)
    return got


def sequential_cold(run):
    name = run.workspace.make_big()
    if not hasattr(run.peer, "mount"):
        return _pull(run, name)
    run.mount_cold()
    if run.peer.name == "local":
        run.drop_pages(name)
    else:
        run.workspace.warm(name)
    _read(run, "seq-cold", name)


def _pull(run, name):
    out = run.scratch("pulled") if run.peer.to_file else None
    if out and os.path.isdir("/dev/shm"):
        out = f"/dev/shm/bt-bench-{os.getpid()}"  # its disk is not what is measured
    try:
        with run.metered() as meter:
            answer = run.work("pull", argv=run.peer.argv(run.there(name), out), out=out, size=run.sizes.big,
                              patience=4 * run.settings.patience)
        run.workspace.check_parts(name, answer["parts"], run.sizes.big)
        meter.update(cpu_client=answer["cpu_client"], memory=answer["memory"])
        run.add("seq-cold", answer["seconds"], bytes=run.sizes.big, bytes_read=run.sizes.big, **meter)
    finally:
        if out and os.path.exists(out):
            os.unlink(out)


def sequential_warm(run):
    """Filled by one read; then read after a remount, and again after only the page cache was dropped."""
    name = run.workspace.make_big()
    run.mount_cold()
    fill = run.work("read", path=run.here(name), size=run.sizes.big, patience=run.settings.patience)
    size = fill["parts"][0][1] // MIB * MIB  # a slow program has not read all of it
    run.peer.end()
    run.drop_pages(name)
    run.peer.mount()
    _read(run, "warm-remount", name, size)
    run.drop_pages(name)
    _read(run, "warm-dropped", name, size, drop=True)


def threads(run):
    name = run.workspace.make_big()
    run.mount_cold()
    if run.peer.name == "local":
        run.drop_pages(name)
    _read(run, "threads-4", name, threads=THREADS)


def _offsets(run, count):
    """Distinct, at multiples of 4 KiB that are no multiples of 64 KiB, no two ranges touching; others in each round."""
    chance = random.Random(f"offsets {run.round} {count}")
    places = chance.sample(range(run.sizes.big // (3 * RANDOM_BYTES)), count)
    return [place * 3 * RANDOM_BYTES + chance.randrange(1, 16) * 4096 for place in places]


def _random(run, case, count, thread_count):
    name = run.workspace.make_big()
    run.mount_cold()
    if run.peer.name == "local":
        run.drop_pages(name)
    with run.metered() as meter:
        answer = run.work("read_random", path=run.here(name), offsets=_offsets(run, count), length=RANDOM_BYTES,
                          threads=thread_count)
    asked = count * RANDOM_BYTES
    run.workspace.check_parts(name, answer["parts"], asked)
    median = statistics.median(answer["waits"])
    run.add(case, median if thread_count == 1 else answer["seconds"], bytes=asked, waits=answer["waits"],
            wire_factor=meter["wire_down"] / asked, **meter)


def random_single(run):
    _random(run, "random-1", run.sizes.random_single, 1)


def random_many(run):
    _random(run, "random-16", run.sizes.random_many, 16)


def mapped_tensor(run):
    name, tensor = run.workspace.make_model()
    run.mount_cold()
    if run.peer.name == "local":
        run.drop_pages(name)
    with run.metered() as meter:
        answer = run.work("read_tensor", path=run.here(name), tensor=tensor, size=run.sizes.tensor)
    run.workspace.check_parts(name, answer["parts"], run.sizes.tensor)
    run.add("mmap-tensor", answer["seconds"], bytes=run.sizes.tensor, **meter)


def look_ups(run):
    """Each name is new, and so is its directory. Idle, then beside a cold read at full speed."""
    tree, loads = run.workspace.make_lookup_tree(), run.workspace.make_loads()
    run.mount_cold()
    folders = [run.here(f"{tree}/{i:04}/only") for i in range(run.sizes.lookups_idle + run.sizes.lookups_loaded)]
    random.Random(run.round).shuffle(folders)
    idle, loaded = folders[:run.sizes.lookups_idle], folders[run.sizes.lookups_idle:]
    waits = run.work("look_up", folders=idle, pause=0.005)["waits"]
    run.add("stat-idle-p50", statistics.median(waits), waits=waits)
    waits = run.work("look_up", folders=loaded, pause=0.005, beside=[run.here(name) for name in loads], lead=0.3,
                     patience=run.settings.patience)["waits"]
    if waits:
        run.add("stat-loaded-p99", percentile(waits, 99), waits=waits, median=statistics.median(waits))


# name: (work, uses the tap, the samples it adds, programs besides bt-mount, sshfs and rclone that can do it)
CASES = {
    "seq-cold": (sequential_cold, False, ["seq-cold"], {"sftp-get", "ssh-cat", "local"}),
    "warm": (sequential_warm, False, ["warm-remount", "warm-dropped"], {"local"}),
    "threads-4": (threads, False, ["threads-4"], {"local"}),
    "random-1": (random_single, False, ["random-1"], {"local"}),
    "random-16": (random_many, False, ["random-16"], {"local"}),
    "mmap-tensor": (mapped_tensor, False, ["mmap-tensor"], {"local"}),
    "stat": (look_ups, False, ["stat-idle-p50", "stat-loaded-p99"], set()),
}
