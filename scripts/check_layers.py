#!/usr/bin/env python3
"""Fails when the tree breaks the house's rules of who may include whom, and a few rules a compiler cannot check.

    scripts/check_layers.py [--root DIR] [--stamp FILE --depfile FILE]

The build runs it (target check_layers), scripts/check.sh runs it, and tests/gate proves that it refuses.
"""

import argparse
import os
import re
import sys
from pathlib import Path

# Each folder and what its files may include besides their own folder. A file belongs to the longest folder that holds
# it. An entry is a folder (its own files, not those of the folders in it) or one header.
REMOTE = ["transport", "transport/base"]  # the interface to the server: RemoteFs, RemotePath, Attributes
MAY_INCLUDE = {
    "transport/base": [],
    "transport/sftp": REMOTE,
    "transport/ssh": REMOTE + ["transport/sftp/message_channel.h"],
    "transport/access": REMOTE,
    "transport/lanes": REMOTE + ["transport/session.h", "transport/server_clock.h", "transport/server_process.h"],
    "transport": ["transport/sftp", "transport/ssh", "transport/access", "transport/lanes", "transport/base"],
    "cache": REMOTE,
    "fs": ["cache"] + REMOTE,
    "fs/fuse": ["fs"] + REMOTE,
    "fs/app": ["fs", "fs/fuse", "cache", "transport/sftp", "transport/ssh", "transport/access", "transport/lanes"] + REMOTE,
    "tests": ["tests", "fs", "fs/fuse", "fs/app", "cache", "transport/sftp", "transport/ssh", "transport/access",
              "transport/lanes"] + REMOTE,
}
# These headers of transport are below sftp, ssh, access and lanes, so they are all that those may include of transport,
# besides what the table names.
REMOTE_HEADERS = {"transport/remote_path.h", "transport/attributes.h", "transport/remote_fs.h"}
BELOW_TRANSPORT = {"transport/sftp", "transport/ssh", "transport/access", "transport/lanes"}

# Vendors' headers and the folders that own them; tests may include all. What is not listed may be included anywhere.
VENDORS = [
    (r"(fuse3?/|linux/)?(fuse|cuse)\w*\.h", "libfuse", ["fs/fuse"]),
    (r"libssh2\w*\.h", "libssh2", ["transport/ssh"]),
    (r"curl/.*", "libcurl", ["transport/access"]),
    (r"openssl/.*", "OpenSSL", ["transport/access", "transport/ssh"]),
    (r"CLI/.*", "CLI11", ["fs/app"]),
    (r"nlohmann/.*", "nlohmann-json", ["transport/access", "fs/app"]),
    (r"xxh\w*\.h", "xxHash", ["transport", "cache", "fs"]),
    (r"(gtest|gmock|benchmark)/.*", "the test libraries", []),
]

# What is not written outside tests, and why.
FORBIDDEN = [
    (r"\bstd::thread\b(?!::)", "std::thread: use std::jthread, whose owner joins it"),
    (r"\bpthread_create\b", "pthread_create: use std::jthread, whose owner joins it"),
    (r"\bstd::async\b", "std::async: use std::jthread, whose owner joins it"),
    (r"\.detach\(\)", "detach(): every thread has an owner that joins it"),
    (r"\bstd::(recursive_|shared_|timed_)?mutex\b", "std::mutex: use bt::Mutex (transport/base/sync.h), which clang checks"),
    (r"\bstd::(lock_guard|unique_lock|scoped_lock)\b", "a std lock: use bt::MutexLock (transport/base/sync.h)"),
    (r"\bstd::condition_variable\w*", "std::condition_variable: use bt::CondVar (transport/base/sync.h)"),
]
FORBIDDEN_EXCEPT = {"transport/base/sync.h"}

LINES_WARN = 400
LINES_FAIL = 450

TOP_FOLDERS = ("transport", "cache", "fs", "tests")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
# Comments and literals, in one expression so that neither is taken for the other.
NOT_CODE = re.compile(r"""//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])'""", re.DOTALL)


def folder_of(path):
    """The longest folder of the table that holds the file; None for a file outside the tree."""
    for parent in Path(path).parents:
        if str(parent) in MAY_INCLUDE:
            return str(parent)
    return None


def may_include(path, folder, target):
    target_folder = folder_of(target)
    if target_folder == folder or target == path:
        return True
    allowed = MAY_INCLUDE[folder]
    if target in allowed:
        return True
    if target_folder == "transport" and folder in BELOW_TRANSPORT:
        return target in REMOTE_HEADERS
    return target_folder in allowed


def blank(match):
    """Takes comments and strings out, keeping the lines where they are."""
    return "\n" * match.group().count("\n") + " "


class Checker:
    def __init__(self, root):
        self.root = root
        self.errors = []
        self.warnings = []

    def files(self):
        for top in TOP_FOLDERS:
            for directory, folders, names in os.walk(self.root / top):
                folders.sort()
                for name in sorted(names):
                    if name.endswith((".h", ".cc")):
                        yield (Path(directory) / name).relative_to(self.root).as_posix()

    def run(self):
        for path in self.files():
            self.check(path)

    def error(self, path, line, text):
        self.errors.append(f"{path}:{line} {text}")

    def check(self, path):
        text = (self.root / path).read_text(encoding="utf-8")
        folder = folder_of(path)
        self.check_length(path, text)
        self.check_includes(path, folder, text)
        if path.endswith(".h"):
            self.check_pragma(path, text)
        if folder != "tests":
            self.check_forbidden(path, text)

    def check_length(self, path, text):
        lines = text.count("\n")
        if lines > LINES_FAIL:
            self.error(path, lines, f"is too long: {lines} lines, at most {LINES_FAIL}; a file does one job")
        elif lines > LINES_WARN:
            self.warnings.append(f"{path} is getting long: {lines} lines, aim for less than {LINES_WARN}")

    def check_pragma(self, path, text):
        directive = re.search(r"^\s*#.*$", NOT_CODE.sub(blank, text), re.MULTILINE)
        if not directive or directive.group().strip() != "#pragma once":
            self.error(path, 1, "does not start with #pragma once")

    def check_includes(self, path, folder, text):
        own_header = path.removesuffix(".cc") + ".h" if path.endswith(".cc") else None
        first = True
        for match in INCLUDE.finditer(text):
            line = text.count("\n", 0, match.start(2)) + 1
            quoted, target = match.group(1) == '"', match.group(2)
            if quoted:
                self.check_ours(path, folder, line, target)
            else:
                self.check_vendor(path, folder, line, target)
            # A source that includes its own header first proves that the header compiles alone.
            if first and own_header and target != own_header and (self.root / own_header).exists():
                self.error(path, line, f"includes {target} before its own header {own_header}")
            first = False

    def check_ours(self, path, folder, line, target):
        if not target.startswith(tuple(f"{top}/" for top in TOP_FOLDERS)):
            self.error(path, line, f'includes "{target}": write our headers as a path from the top of the tree, '
                                   "and others' in <>")
        elif not may_include(path, folder, target):
            self.error(path, line, f"includes {target}: {folder} may not include {self.describe(folder, target)} "
                                   "(see the table in scripts/check_layers.py)")

    def check_vendor(self, path, folder, line, target):
        if target.startswith(tuple(f"{top}/" for top in TOP_FOLDERS)):
            self.error(path, line, f'includes <{target}>: write our own headers in ""')
        if folder == "tests":
            return
        if target.startswith("spdlog/") and path.endswith(".h"):
            self.error(path, line, f"includes <{target}>: logging belongs into .cc files")
        for pattern, vendor, owners in VENDORS:
            if re.fullmatch(pattern, target) and folder not in owners:
                where = ", ".join(owners) or "tests"
                self.error(path, line, f"includes <{target}>: {vendor} belongs to {where}, not to {folder} "
                                       "(see the table in scripts/check_layers.py)")

    @staticmethod
    def describe(folder, target):
        target_folder = folder_of(target)
        if target_folder == "transport" and folder in BELOW_TRANSPORT:
            return "this header, which is above it"
        return target_folder

    def check_forbidden(self, path, text):
        if path in FORBIDDEN_EXCEPT:
            return
        code = NOT_CODE.sub(blank, text)
        for pattern, why in FORBIDDEN:
            for match in re.finditer(pattern, code):
                self.error(path, code.count("\n", 0, match.start()) + 1, f"uses {why}")


def write_depfile(depfile, stamp, root):
    """Tells ninja to look again when a source changes, or when a folder gains or loses a file."""
    inputs = []
    for top in TOP_FOLDERS:
        for directory, _, names in os.walk(root / top):
            inputs.append(directory)
            inputs += [os.path.join(directory, name) for name in names if name.endswith((".h", ".cc"))]
    escaped = [path.replace(" ", "\\ ") for path in inputs]
    Path(depfile).write_text(f"{stamp}: " + " \\\n  ".join(escaped) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    parser.add_argument("--stamp", help="file to touch when the tree is in order")
    parser.add_argument("--depfile", help="list of what was looked at, in make's format, for ninja")
    arguments = parser.parse_args()

    checker = Checker(arguments.root)
    checker.run()
    for warning in checker.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    for error in checker.errors:
        print(error, file=sys.stderr)
    if checker.errors:
        return 1
    if arguments.depfile:
        write_depfile(arguments.depfile, arguments.stamp, arguments.root)
    if arguments.stamp:
        Path(arguments.stamp).touch()
    return 0


if __name__ == "__main__":
    sys.exit(main())
