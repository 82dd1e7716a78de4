#!/usr/bin/env python3
"""Does one piece of work through a mount and prints what it took, as one line of JSON.

A process of its own, so that a mount that hangs can be timed out from outside. Bytes are read into memory that was
touched before, the clock stops, and only then they are hashed: hashing would compete with what is measured.
"""

import hashlib
import json
import mmap
import os
import random
import resource
import socket
import subprocess
import sys
import threading
import time

CHUNK = 1 << 20
FORGOTTEN = 4  # seconds
now = time.perf_counter


def memory(size):
    """Anonymous memory with all its pages there."""
    area = mmap.mmap(-1, max(size, 1))
    for offset in range(0, size, mmap.PAGESIZE):
        area[offset] = 0
    return memoryview(area)


def sha(view):
    return hashlib.sha256(view).hexdigest()


def fill(fd, view, offset, give_up):
    """Reads [offset, offset + len(view)) in order; the number of bytes got before `give_up`."""
    done = 0
    while done < len(view) and now() < give_up:
        got = os.preadv(fd, [view[done:done + CHUNK]], offset + done)
        if got == 0:
            break
        done += got
    return done


def read(work):
    view = memory(work["size"])
    if work.get("drop"):
        fd = os.open(work["path"], os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)
    start = now()
    fd = os.open(work["path"], os.O_RDONLY)
    done = fill(fd, view, 0, start + work["patience"])
    seconds = now() - start
    os.close(fd)
    return {"seconds": seconds, "parts": [[0, done, sha(view[:done])]]}


def read_threads(work):
    view = memory(work["size"])
    count = work["threads"]
    share = work["size"] // count
    parts = [None] * count
    fd = os.open(work["path"], os.O_RDONLY)
    start = now()

    def run(index):
        first = index * share
        parts[index] = (first, fill(fd, view[first:first + share], first, start + work["patience"]))

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = now() - start
    return {"seconds": seconds, "parts": [[at, size, sha(view[at:at + size])] for at, size in parts]}


def read_random(work):
    offsets, length, count = work["offsets"], work["length"], work["threads"]
    view = memory(len(offsets) * length)
    waits = [0.0] * len(offsets)
    sizes = [0] * len(offsets)
    fd = os.open(work["path"], os.O_RDONLY)
    queue = iter(range(len(offsets)))
    lock = threading.Lock()

    def run():
        while True:
            with lock:
                index = next(queue, None)
            if index is None:
                return
            begin = now()
            got = 0
            while got < length:
                n = os.preadv(fd, [view[index * length + got:(index + 1) * length]], offsets[index] + got)
                if n == 0:
                    break
                got += n
            waits[index] = now() - begin
            sizes[index] = got

    threads = [threading.Thread(target=run) for _ in range(count)]
    start = now()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = now() - start
    return {"seconds": seconds, "waits": waits,
            "parts": [[at, size, sha(view[i * length:i * length + size])]
                      for i, (at, size) in enumerate(zip(offsets, sizes))]}


def read_tensor(work):
    """What a loader does: map the file, parse the header, copy one tensor out."""
    view = memory(work["size"])
    start = now()
    with open(work["path"], "rb") as file:
        area = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    header_size = int.from_bytes(area[:8], "little")
    header = json.loads(area[8:8 + header_size])
    begin, end = header[work["tensor"]]["data_offsets"]
    first = 8 + header_size + begin
    view[:end - begin] = memoryview(area)[first:first + end - begin]
    seconds = now() - start
    return {"seconds": seconds, "parts": [[first, end - begin, sha(view[:end - begin])]]}


def look_up(work):
    """Times stat() of one name in each of the folders; with "beside", while a child reads those files at full speed.

    What opening the folders may have told of the names is forgotten by then: nobody wanted it for FORGOTTEN seconds."""
    folders = [os.open(path, os.O_PATH) for path in work["folders"]]
    time.sleep(FORGOTTEN)
    child = None
    if "beside" in work:
        child = os.fork()
        if child == 0:
            scratch = memory(CHUNK)
            give_up = now() + work["patience"]
            for path in work["beside"]:
                fd = os.open(path, os.O_RDONLY)
                while now() < give_up and os.readv(fd, [scratch]) > 0:
                    pass
                os.close(fd)
            os._exit(0)
        time.sleep(work["lead"])
    waits = []
    for folder in folders:
        if child is not None and os.waitpid(child, os.WNOHANG)[0] != 0:
            child = None
            break  # the read has ended, so nothing loads the link any more
        begin = now()
        os.stat("name", dir_fd=folder)
        waits.append(now() - begin)
        time.sleep(work["pause"])
    if child is not None:
        os.kill(child, 9)
        os.waitpid(child, 0)
    return {"waits": waits}


def create(work):
    """Small files one after another; each must be whole on the server when close() has returned."""
    total, late = 0.0, 0
    bodies = random.Random(work["seed"])
    os.mkdir(work["directory"])
    for index in range(work["count"]):
        body = bodies.randbytes(work["size"])
        begin = now()
        with open(f"{work['directory']}/file-{index:04}", "wb") as file:
            file.write(body)
        total += now() - begin
        try:
            with open(f"{work['server']}/file-{index:04}", "rb") as file:
                late += file.read() != body
        except OSError:
            late += 1
    return {"seconds": total, "late": late}


def write(work):
    """One big file, in order, with fsync. Nothing more reaches the server after fsync has returned (the link stalls), and
    then the server's file is hashed."""
    with open(work["source"], "rb") as file:
        view = memory(work["size"])
        file.readinto(view)
    control = None
    if work["control"]:
        control = socket.socket(socket.AF_UNIX)
        control.connect(work["control"])
        answers = control.makefile("r")

    def stall(on):
        if control is not None:
            control.sendall(json.dumps({"cmd": "stall", "on": on}).encode() + b"\n")
            answers.readline()

    start = now()
    fd = os.open(work["path"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for at in range(0, work["size"], CHUNK):
        piece = view[at:at + CHUNK]
        while piece:
            piece = piece[os.write(fd, piece):]
    os.fsync(fd)
    synced = now() - start
    stall(True)
    try:
        try:
            with open(work["server"], "rb") as file:
                there = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            there = "nothing"
    finally:
        stall(False)
    start = now()
    os.close(fd)
    return {"seconds": synced, "close_seconds": now() - start, "on_server": there == sha(view), "sha256": sha(view)}


def wait_for_line(work):
    """How long until a line that the server's side appended is seen through the mount."""
    def seen():
        with open(work["path"], "rb") as file:
            return file.read()

    seen()
    line = work["line"].encode()
    with open(work["server"], "ab") as file:
        file.write(line)
    return poll(lambda: seen().endswith(line), work["patience"])


def wait_for_name(work):
    """How long until a file that the server's side made is seen through the mount, after it was asked for in vain."""
    os.listdir(os.path.dirname(work["path"]))
    if os.path.exists(work["path"]):
        return {"error": "the name is there already"}
    with open(work["server"], "wb") as file:
        file.write(b"new\n")
    return poll(lambda: os.path.exists(work["path"]), work["patience"])


def poll(seen, patience):
    start = now()
    while True:
        if seen():
            return {"seconds": now() - start}
        if now() - start > patience:
            return {"seconds": None}
        time.sleep(0.02)


def pull(work):
    """A program that copies a file and ends: its output, its time, and what it cost. It is forked before there is much
    memory here, whose size would be taken for the peak of the program's."""
    gate = ["/bin/sh", "-c", 'read go && exec "$@" </dev/null', "sh", *work["argv"]]
    process = subprocess.Popen(gate, stdin=subprocess.PIPE, bufsize=0,
                               stdout=subprocess.DEVNULL if work["out"] else subprocess.PIPE)
    view = memory(work["size"])
    start = now()
    process.stdin.write(b"go\n")
    done = 0
    if not work["out"]:
        while done < len(view) and (got := process.stdout.readinto(view[done:done + CHUNK])):
            done += got
    status = process.wait(timeout=work["patience"])
    seconds = now() - start
    if status != 0:
        return {"error": f"{work['argv'][0]} exited with {status}"}
    if work["out"]:
        with open(work["out"], "rb") as file:
            done = file.readinto(view)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"seconds": seconds, "parts": [[0, done, sha(view[:done])]], "cpu_client": usage.ru_utime + usage.ru_stime,
            "memory": usage.ru_maxrss * 1024}


WORK = {f.__name__: f for f in (read, read_threads, read_random, read_tensor, look_up, create, write, wait_for_line,
                                wait_for_name, pull)}


def main():
    work = json.loads(sys.stdin.read())
    try:
        answer = WORK[work["do"]](work)
    except (OSError, subprocess.SubprocessError) as error:
        answer = {"error": f"{work['do']}: {error}"}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
