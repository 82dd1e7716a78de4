"""The programs that are compared: how each is mounted, ended and accounted for.

All but bt-mount dial the node's sshd through the same emulated link without TLS, proxy and token; bt-mount goes the whole
way. "local" is the server's directory itself: what the disk of this machine does, for ratios.
"""

import os
import shutil
import subprocess
import time

import mounts
from processes import StepFailed, cpu_seconds, kill_all, marked, peak_memory_bytes

MOUNT_SECONDS = 60
END_SECONDS = 60


class Place:
    """What all programs share: the stand-in, the work folder, the environment."""

    def __init__(self, standin, work, programs, bt_arguments):
        self.standin = standin
        self.work = work
        self.programs = programs  # folder of bt-mount
        self.bt_arguments = bt_arguments
        self.key = f"{work}/key"
        self.environment = dict(os.environ, HOME=f"{work}/home", XDG_CACHE_HOME=f"{work}/cache",
                                XDG_STATE_HOME=f"{work}/state", XDG_RUNTIME_DIR=f"{work}/run", LC_ALL="C",
                                RCLONE_CONFIG=f"{work}/rclone.conf", GIT_CONFIG_GLOBAL=f"{work}/gitconfig",
                                GIT_CONFIG_NOSYSTEM="1", GIT_TERMINAL_PROMPT="0", **standin.environment)
        for name in ("home", "cache", "state", "run"):
            os.makedirs(f"{work}/{name}", mode=0o700, exist_ok=True)
        with open(f"{work}/gitconfig", "w") as file:
            file.write("[user]\n\tname = bench\n\temail = bench@localhost\n[safe]\n\tdirectory = *\n"
                       "[gc]\n\tauto = 0\n[init]\n\tdefaultBranch = main\n")
        open(f"{work}/rclone.conf", "a").close()

    def ssh_options(self, tuned):
        words = [f"Port={self.standin.plain_port}", f"IdentityFile={self.key}", "IdentitiesOnly=yes",
                 "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]
        return words + (["Ciphers=aes128-gcm@openssh.com", "Compression=no"] if tuned else [])


class Mount:
    """A program that mounts: runs in the foreground as our child, so that it can be accounted for and ended by pid."""

    mounts = True
    has_cache = False  # a cache on disk that outlives the mount

    def __init__(self, name, place):
        self.name = name
        self.place = place
        self.root = f"{place.work}/mnt-{name}"
        self.cache = f"{place.work}/cache"
        self.notes = []  # what went wrong while ending
        self._process = None
        self._mark = f"BT_BENCH_MOUNT={self.root}"  # inherited by what it starts
        os.makedirs(self.root, exist_ok=True)

    def argv(self):
        raise NotImplementedError

    def mount(self):
        """Seconds until the root could be listed."""
        started = time.perf_counter()
        log = open(f"{self.place.work}/{self.name}.log", "a")
        with log:
            self._process = subprocess.Popen(self.argv(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                             env={**self.place.environment, "BT_BENCH_MOUNT": self.root},
                                             start_new_session=True)
        while not mounts.is_mounted(self.root):
            if self._process.poll() is not None:
                raise StepFailed(f"it ended with {self._process.returncode} instead of mounting; see {log.name}")
            if time.perf_counter() - started > MOUNT_SECONDS:
                self.end()
                raise StepFailed(f"not mounted after {MOUNT_SECONDS} s")
            time.sleep(0.002)
        try:  # by a child, because a mount that hangs must not hang this program
            subprocess.run(["ls", self.root], stdout=subprocess.DEVNULL, timeout=MOUNT_SECONDS, check=True)
        except subprocess.SubprocessError as error:
            self.end()
            raise StepFailed(f"the mounted root could not be listed: {error}") from None
        return time.perf_counter() - started

    def end(self):
        """Unmounts and waits for the program; by force when that takes too long, which is noted."""
        if self._process is None:
            return
        if mounts.is_mounted(self.root) and not mounts.unmount(self.root, END_SECONDS):
            self.notes.append(f"did not unmount in {END_SECONDS} s or was busy; aborted")
            mounts.abort(self.root)
            mounts.detach(self.root)
        try:
            self._process.wait(timeout=END_SECONDS)
        except subprocess.TimeoutExpired:
            self.notes.append(f"did not end in {END_SECONDS} s; killed")
            mounts.abort(self.root)
        kill_all(marked(self._mark))  # it and what it left behind
        self._process.wait()
        self._process = None

    def abort(self):
        """After a step that hung: nobody waits in this mount any more."""
        if self._process is not None:
            mounts.abort(self.root)
            mounts.detach(self.root)
            kill_all(marked(self._mark))
            self._process.wait()
            self._process = None

    def empty_cache(self):
        """Only while it is not mounted."""
        shutil.rmtree(self.cache, ignore_errors=True)
        os.makedirs(self.cache, mode=0o700)

    def drop_cache_pages(self):
        """The cache's files are read from the disk from now on."""
        mounts.drop_tree(self.cache)

    def usage(self):
        pids = marked(self._mark) if self._process else []
        return {"cpu_client": cpu_seconds(pids), "memory": peak_memory_bytes(pids)}


class BtMount(Mount):
    has_cache = True

    def argv(self):
        return [f"{self.place.programs}/bt-mount", "-f", *self.place.bt_arguments, "demo123", self.root]


class Sshfs(Mount):
    TUNED = ["max_conns=4", "auto_cache", "kernel_cache", "dcache_timeout=60", "dcache_max_size=100000",
             "entry_timeout=10", "attr_timeout=10", "negative_timeout=1"]

    # As its users are told to.
    RECONNECT = ["reconnect", "ServerAliveInterval=5", "ServerAliveCountMax=3"]

    def __init__(self, name, place, tuned, more=()):
        super().__init__(name, place)
        self._tuned = tuned
        self._more = list(more)

    def argv(self):
        options = self.place.ssh_options(self._tuned) + (self.TUNED if self._tuned else []) + self._more
        standin = self.place.standin
        return ["sshfs", "-f", "-o", ",".join(options), f"{standin.user}@127.0.0.1:{standin.directory}", self.root]


class Rclone(Mount):
    has_cache = True

    def __init__(self, name, place):
        super().__init__(name, place)
        self.cache = f"{place.work}/rclone-cache"
        os.makedirs(self.cache, exist_ok=True)

    def argv(self):
        standin = self.place.standin
        remote = (f":sftp,host=127.0.0.1,port={standin.plain_port},user={standin.user},key_file={self.place.key},"
                  f"pubkey_file={self.place.key}-cert.pub:{standin.directory}")
        return ["rclone", "mount", "--vfs-cache-mode", "full", "--cache-dir", self.cache, remote, self.root]


class Local(Mount):
    """No link, no mount: the same work on the server's directory."""

    mounts = False

    def __init__(self, name, place):
        super().__init__(name, place)
        self.root = place.standin.directory

    def mount(self):
        return 0.0

    def end(self):
        pass

    def abort(self):
        pass

    def empty_cache(self):
        pass

    def drop_cache_pages(self):
        pass

    def usage(self):
        return {"cpu_client": 0.0, "memory": 0}


class Pull:
    """A program that copies one file and ends."""

    mounts = False
    has_cache = False

    def __init__(self, name, place):
        self.name = name
        self.place = place
        self.notes = []

    def argv(self, path, out):
        """`out` is a file to write; None when the program writes to standard output."""
        raise NotImplementedError

    def end(self):
        pass

    abort = end


class SftpGet(Pull):
    to_file = True

    def argv(self, path, out):
        words = [word for option in self.place.ssh_options(False) for word in ("-o", option)]
        return ["sftp", "-q", *words, f"{self.place.standin.user}@127.0.0.1:{path}", out]


class SshCat(Pull):
    to_file = False

    def argv(self, path, out):
        words = [word for option in self.place.ssh_options(False) for word in ("-o", option)]
        return ["ssh", *words, f"{self.place.standin.user}@127.0.0.1", f"cat {path}"]


ALL = {
    "bt-mount": BtMount,
    "sshfs": lambda name, place: Sshfs(name, place, False),
    "sshfs-tuned": lambda name, place: Sshfs(name, place, True),
    "sshfs-reconnect": lambda name, place: Sshfs(name, place, False, Sshfs.RECONNECT),
    "rclone": Rclone,
    "sftp-get": SftpGet,
    "ssh-cat": SshCat,
    "local": Local,
}
