#!/usr/bin/env python3
"""Runs clang-tidy on every source of ours, in parallel, and remembers what was clean.

    scripts/tidy.py [--all] [FILE...]

A source is looked at again when it, one of our headers it includes, its compile command, a .clang-tidy or clang-tidy
itself changed. Needs a build of the preset dev: its compile_commands.json, and ninja's knowledge of who includes what.
--all forgets what was clean (for a change in a vendor's header).
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "dev"
CLEAN = BUILD / "tidy"  # one empty file for each clean source, named by the hash of all that it was judged by
FOLDERS = ("transport", "cache", "fs", "tests")


def read_commands():
    """Our sources and their compile commands; not what CMake generates."""
    entries = json.loads((BUILD / "compile_commands.json").read_text(encoding="utf-8"))
    commands = {}
    for entry in entries:
        path = Path(entry["directory"], entry["file"]).resolve()
        if path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in FOLDERS and path.exists():
            commands[path] = entry["command"]
    return commands


def read_inputs():
    """For each source, the files of ours it was compiled from, from `ninja -t deps`."""
    listing = subprocess.run(["ninja", "-C", str(BUILD), "-t", "deps"], capture_output=True, text=True, check=True)
    inputs = {}
    for block in listing.stdout.split("\n\n"):
        files = [Path(BUILD, line.strip()).resolve() for line in block.splitlines()[1:]]
        ours = [path for path in files if path.is_relative_to(ROOT) and not path.is_relative_to(ROOT / "build")]
        for path in ours:
            if path.suffix == ".cc":
                inputs[path] = ours
    return inputs


class Judge:
    def __init__(self, commands):
        self.commands = commands
        self.inputs = read_inputs()
        self.contents = {}
        version = subprocess.run(["clang-tidy", "--version"], capture_output=True, check=True).stdout
        configs = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob(".clang-tidy"))
        self.common = version + b"".join(self.content(path) for path in [ROOT / ".clang-tidy"] + configs)

    def content(self, path):
        if path not in self.contents:
            self.contents[path] = path.read_bytes() if path.exists() else b""
        return self.contents[path]

    def clean_mark(self, path):
        digest = hashlib.sha256(self.common + self.commands[path].encode())
        for used in sorted(set(self.inputs.get(path, []) + [path])):
            digest.update(str(used).encode() + b"\0" + self.content(used))
        return CLEAN / digest.hexdigest()

    def look(self, path):
        """What clang-tidy says, or None when there is nothing to say."""
        # A source that was not built yet has unknown headers: look, and do not remember.
        mark = self.clean_mark(path) if path in self.inputs else None
        if mark and mark.exists():
            return None
        result = subprocess.run(["clang-tidy", "-p", str(BUILD), "--quiet", str(path)], capture_output=True, text=True,
                                check=False)
        if result.returncode != 0:
            return result.stdout + "".join(line for line in result.stderr.splitlines(True) if "error:" in line)
        if mark:
            mark.touch()
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="look at everything again")
    parser.add_argument("files", nargs="*", type=Path)
    arguments = parser.parse_args()

    CLEAN.mkdir(parents=True, exist_ok=True)
    if arguments.all:
        for mark in CLEAN.iterdir():
            mark.unlink()
    commands = read_commands()
    files = [path.resolve() for path in arguments.files] or sorted(commands)
    unknown = [path for path in files if path not in commands]
    if unknown:
        sys.exit(f"tidy.py: {unknown[0]} is not built by the preset dev; run ./scripts/build.sh dev")

    judge = Judge(commands)
    failed = 0
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for path, said in zip(files, pool.map(judge.look, files)):
            if said is not None:
                failed += 1
                print(f"-- {path.relative_to(ROOT)}\n{said}", flush=True)
    if failed:
        print(f"tidy.py: {failed} of {len(files)} sources are not clean", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
