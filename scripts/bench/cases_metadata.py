"""Walking trees, reading many small files, and how soon the server's changes are seen."""

import hashlib
import os
import shutil
import time

from processes import StepFailed
from workspace import WrongBytes

AT_REST_SECONDS = 4


def _expect(what, got, wanted):
    if got != wanted:
        missing, extra = sorted(set(wanted) - set(got))[:3], sorted(set(got) - set(wanted))[:3]
        raise WrongBytes(f"{what}: missing {missing}, unexpected {extra}, {len(got)} of {len(wanted)} lines")


def _find(run, root):
    seconds, text, _ = run.program("find", ".", cwd=root)
    return seconds, sorted(text.splitlines())


def _list(run, root):
    """Names, sizes and times of files; modes and link counts are not every program's to tell."""
    seconds, text, _ = run.program("ls", "-lR", "--time-style=+%s", ".", cwd=root)
    lines, folder = [], ""
    for line in text.splitlines():
        if line.endswith(":"):
            folder = line[:-1]
        elif line.startswith("-"):
            fields = line.split(None, 6)
            lines.append(f"{folder}/{fields[6]} {fields[4]} {fields[5]}")
    return seconds, sorted(lines)


def _walk(tree, size_name, kind, case):
    def walk(run):
        name = run.workspace.make_tree(tree, *getattr(run.sizes, size_name))
        wanted = kind(run, run.there(name))[1]
        run.mount_cold()
        for sample in (case, f"{case}-again"):
            with run.metered() as meter:
                seconds, got = kind(run, run.here(name))
            _expect(sample, got, wanted)
            run.add(sample, seconds, **meter)
    return walk


def cat_small(run):
    name = run.workspace.make_small_files("small")
    names = sorted(os.listdir(run.there(name)))
    run.mount_cold()
    out = run.scratch("cat")
    with run.metered() as meter, open(out, "wb") as file:
        seconds, _, _ = run.program("cat", *[run.here(f"{name}/{one}") for one in names], output=file)
    wanted = hashlib.sha256()
    for one in names:
        with open(run.there(f"{name}/{one}"), "rb") as file:
            wanted.update(file.read())
    with open(out, "rb") as file:
        if hashlib.file_digest(file, "sha256").digest() != wanted.digest():
            raise WrongBytes("cat of small files")
    run.add("cat-200", seconds, **meter)


def grep_small(run):
    name = run.workspace.make_small_files("small")
    run.mount_cold()
    with run.metered() as meter:
        seconds, text, _ = run.program("grep", "-rc", "needle", ".", cwd=run.here(name))
    _, wanted, _ = run.program("grep", "-rc", "needle", ".", cwd=run.there(name))
    _expect("grep -r", sorted(text.splitlines()), sorted(wanted.splitlines()))
    run.add("grep-200", seconds, **meter)


def git_status(run):
    """A fresh copy each time: the first status rewrites the index with what it saw. At rest for some seconds: younger
    files may change again within the second that their times show, so nothing that was read of them is kept."""
    master = run.workspace.make_repository(run.place.work, "status-master", run.sizes.status_files)
    target = run.there("status")
    if os.path.exists(target):
        shutil.rmtree(target)
    shutil.copytree(master, target, symlinks=True)
    time.sleep(AT_REST_SECONDS)
    run.mount_cold()
    for sample in ("git-status", "git-status-again"):
        with run.metered() as meter:
            seconds, text, _ = run.program("git", "-C", run.here("status"), "status", "--porcelain")
        changed = text.splitlines()
        if changed and run.peer.name in ("bt-mount", "local"):
            raise WrongBytes(f"git status of an unchanged repository: {changed[:3]}")
        run.add(sample, seconds, **meter, **({"note": f"{len(changed)} files shown as changed"} if changed else {}))


def _sightings(run, case, one):
    """As many as asked for, within a time: the other programs cache listings for minutes."""
    seen, spent = 0, 0.0
    while seen < run.sizes.sightings and spent < run.settings.patience:
        seconds = one(seen)
        if seconds is None:
            raise StepFailed(f"not seen after {run.settings.patience:.0f} s")
        seen, spent = seen + 1, spent + seconds
        run.add(case, seconds)


def visible_lines(run):
    name = f"log-{run.peer.name}"
    with open(run.there(name), "wb") as file:
        file.write(b"first line\n")
    run.mount_cold()
    _sightings(run, "visible-line", lambda i: run.work(
        "wait_for_line", path=run.here(name), server=run.there(name), line=f"line {i} of the server\n",
        patience=run.settings.patience)["seconds"])


def visible_names(run):
    tree = run.workspace.make_tree("tree", *run.sizes.tree)
    folder = f"new-{run.peer.name}"
    shutil.rmtree(run.there(folder), ignore_errors=True)
    os.mkdir(run.there(folder))
    run.mount_cold()
    run.program("ls", "-lR", run.here(tree), output=open(os.devnull, "wb"))  # entries that compete for attention
    _sightings(run, "visible-name", lambda i: run.work(
        "wait_for_name", path=run.here(f"{folder}/name-{i}"), server=run.there(f"{folder}/name-{i}"),
        patience=run.settings.patience)["seconds"])


CASES = {
    "find": (_walk("tree", "tree", _find, "find"), True, ["find", "find-again"], {"local"}),
    "ls": (_walk("tree", "tree", _list, "ls"), True, ["ls", "ls-again"], {"local"}),
    "find-big": (_walk("big-tree", "big_tree", _find, "find-big"), True, ["find-big", "find-big-again"], {"local"}),
    "ls-big": (_walk("big-tree", "big_tree", _list, "ls-big"), True, ["ls-big", "ls-big-again"], {"local"}),
    "cat-200": (cat_small, True, ["cat-200"], {"local"}),
    "grep-200": (grep_small, True, ["grep-200"], {"local"}),
    "git-status": (git_status, True, ["git-status", "git-status-again"], {"local"}),
    "visible-line": (visible_lines, True, ["visible-line"], set()),
    "visible-name": (visible_names, True, ["visible-name"], set()),
}
