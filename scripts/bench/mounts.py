"""The kernel's side of a mount: is it there, which connection is it, end it by force, drop what is cached of it."""

import os
import subprocess

CONNECTIONS = "/sys/fs/fuse/connections"


def _entry(path):
    """(device number, filesystem type) of the mount at exactly `path`, or None. Asks the kernel's table, never the
    mount itself, which may hang."""
    found = None
    with open("/proc/self/mountinfo") as table:
        for line in table:
            fields = line.split()
            if fields[4] == path:
                found = (fields[2], fields[fields.index("-") + 1])
    return found


def is_mounted(path):
    entry = _entry(path)
    return entry is not None and entry[1].startswith("fuse")


def abort(path):
    """Ends the FUSE connection of the mount at `path`: all who wait in it get an error. Needs root. True when done."""
    entry = _entry(path)
    if entry is None or not entry[1].startswith("fuse"):
        return False
    if not os.listdir(CONNECTIONS):
        subprocess.run(["mount", "-t", "fusectl", "none", CONNECTIONS], check=False, stderr=subprocess.DEVNULL)
    minor = entry[0].split(":")[1]
    try:
        with open(f"{CONNECTIONS}/{minor}/abort", "w") as file:
            file.write("1")
    except OSError:
        return False
    return True


def unmount(path, seconds):
    """The ordinary way. True when it is gone."""
    try:
        subprocess.run(["fusermount3", "-u", path], timeout=seconds, check=False, stderr=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        pass
    return not is_mounted(path)


def detach(path):
    """Takes it out of the tree, whoever still uses it."""
    subprocess.run(["fusermount3", "-uz", path], timeout=30, check=False, stderr=subprocess.DEVNULL)


def drop_file(path):
    """Writes a file of the local disk out and drops its pages, so that the next read comes from the disk."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def drop_tree(directory):
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path):
                try:
                    drop_file(path)
                except OSError:
                    pass  # sockets and locks, or gone meanwhile


def drop_everything():
    """The whole machine's page, entry and inode caches. Needs root; False when it could not be done."""
    try:
        with open("/proc/sys/vm/drop_caches", "w") as file:
            file.write("3")
    except OSError:
        return False
    return True
