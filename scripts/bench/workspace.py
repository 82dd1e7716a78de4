"""What lies on the server: made on its side before the cases that need it, and the truth that reads are compared with."""

import hashlib
import json
import os
import random
import subprocess
import time
from dataclasses import dataclass

MIB = 1 << 20


def _make_old(path):
    """Checkpoints are seldom of this second; and what may still be changing cannot be kept by a cache."""
    then = time.time() - 60
    os.utime(path, (then, then))


def _write_out(file):
    """Otherwise the kernel does it half a minute later, at the cost of whoever is measured then."""
    file.flush()
    os.fsync(file.fileno())


class WrongBytes(Exception):
    """A program gave wrong bytes, or lost some. Ends the run."""


@dataclass
class Sizes:
    """Counts and sizes of all cases. The defaults are those of the acceptance tables."""

    big: int = 1024 * MIB          # the file that is read in order
    write: int = 256 * MIB
    model: int = 512 * MIB         # the safetensors file, and ...
    tensor: int = 64 * MIB         # ... one tensor in it
    tree: tuple = (66, 1200)       # directories, files
    big_tree: tuple = (660, 12000)
    small: int = 200               # small files that are read, searched and copied
    created: int = 100
    status_files: int = 400        # of the repository whose status is asked for
    clone_files: int = 500
    random_single: int = 40        # 64 KiB reads on 1 thread
    random_many: int = 160         # and on 16 threads
    lookups_idle: int = 60
    lookups_loaded: int = 240
    loads: int = 3                 # big files that are read meanwhile, so that 1 in 100 lookups is more than one
    sightings: int = 10
    cut: int = 64 * MIB            # the file that is copied while the link is cut
    cut_copies: int = 10           # each way

    @staticmethod
    def quick():
        return Sizes(big=24 * MIB, write=8 * MIB, model=16 * MIB, tensor=2 * MIB, tree=(8, 80), big_tree=(20, 300), small=20,
                     created=8, status_files=30, clone_files=30, random_single=8, random_many=32, lookups_idle=10,
                     lookups_loaded=40, sightings=2, cut=16 * MIB, cut_copies=2)


class Workspace:
    """Names are relative to the server's directory; make_*() do nothing when it is there already."""

    def __init__(self, directory, work, sizes, environment):
        self.directory = directory
        self.work = work  # for what lies on the client's side: sources of writes
        self.sizes = sizes
        self._environment = environment
        self._hashes = {}
        self._made = set()

    def path(self, name):
        return os.path.join(self.directory, name)

    def _once(self, name):
        fresh = name not in self._made
        self._made.add(name)
        return fresh

    # --- big files ----------------------------------------------------------------------------------------------------

    def make_big(self):
        if self._once("big"):
            self._random_file(self.path("big"), self.sizes.big)
        return "big"

    def make_loads(self):
        """The big file by several names, none of which a cache has seen under another."""
        names = [f"{self.make_big()}-{number}" for number in range(self.sizes.loads)]
        if self._once("loads"):
            for name in names:
                os.link(self.path("big"), self.path(name))
        return names

    def make_source(self):
        """On the client's side."""
        path = f"{self.work}/source"
        if self._once("source"):
            self._random_file(path, self.sizes.write)
        return path

    def make_cut_file(self):
        """In the workspace; read there for copies in both directions."""
        path = self.path("cut")
        if self._once("cut"):
            self._random_file(path, self.sizes.cut)
            for number in range(self.sizes.cut_copies):  # so that no copy is served from what another one left
                os.link(path, f"{path}-{number}")
        return path

    def make_model(self):
        """A valid safetensors file of equal tensors. Returns its name and the name of the tensor in its middle."""
        size = self.sizes.tensor
        count = self.sizes.model // size
        if self._once("model"):
            header = {f"layer.{i}.weight": {"dtype": "F32", "shape": [size // 4096, 1024],
                                            "data_offsets": [i * size, (i + 1) * size]} for i in range(count)}
            text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
            text += b" " * (-len(text) % 8)
            with open(self.path("model.safetensors"), "wb") as file:
                file.write(len(text).to_bytes(8, "little") + text)
                for _ in range(count * size // MIB):
                    file.write(os.urandom(MIB))
                _write_out(file)
            _make_old(self.path("model.safetensors"))
        return "model.safetensors", f"layer.{count // 2}.weight"

    @staticmethod
    def _random_file(path, size):
        with open(path, "wb") as file:
            for _ in range(size // MIB):
                file.write(os.urandom(MIB))
            _write_out(file)
        _make_old(path)

    def check_parts(self, name, parts, whole=None):
        """Each of `parts` [offset, length, sha256] must be what the server's file holds; together `whole` bytes when
        that is given."""
        for offset, length, digest in parts:
            key = (name, offset, length)
            if key not in self._hashes:
                self._hashes[key] = self._hash(self.path(name), offset, length)
            if digest != self._hashes[key]:
                raise WrongBytes(f"{name} [{offset}, {offset + length})")
        got = sum(part[1] for part in parts)
        if whole is not None and got != whole:
            raise WrongBytes(f"{name} ended after {got} of {whole} bytes")

    @staticmethod
    def _hash(path, offset, length):
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            file.seek(offset)
            while length > 0:
                piece = file.read(min(MIB, length))
                if not piece:
                    break
                digest.update(piece)
                length -= len(piece)
        return digest.hexdigest()

    def warm(self, name):
        """Brings a file into the server's page cache: the server's disk is not what is measured."""
        self._hash(self.path(name), 0, os.path.getsize(self.path(name)))

    # --- trees --------------------------------------------------------------------------------------------------------

    def make_tree(self, name, directories, files):
        """`files` small files in `directories` directories two levels deep, the first two levels included."""
        if self._once(name):
            chance = random.Random(name)
            tops = max(1, directories // 11)
            folders = [f"top-{i:03}" for i in range(tops)]
            folders += [f"top-{i % tops:03}/sub-{i:04}" for i in range(directories - tops)]
            for folder in folders:
                os.makedirs(self.path(f"{name}/{folder}"), exist_ok=True)
            for index in range(files):
                self._small_file(f"{name}/{folders[index % len(folders)]}/file-{index:05}.txt", chance, 100, 400)
        return name

    def make_small_files(self, name, base=None):
        """Flat: some KiB of text each; every tenth holds the word that grep looks for."""
        base = base or self.directory
        if self._once((name, base)):
            chance = random.Random(name)
            os.makedirs(os.path.join(base, name))
            for index in range(self.sizes.small):
                word = b"needle\n" if index % 10 == 3 else b""
                self._small_file(f"{name}/file-{index:04}.txt", chance, 500, 8000, word, base)
        return name

    def make_lookup_tree(self):
        """One file in each of many directories, and no two of those in one: whoever looks from one to the next walks
        along no path that could be foreseen."""
        if self._once("lookups"):
            for index in range(self.sizes.lookups_idle + self.sizes.lookups_loaded):
                os.makedirs(self.path(f"lookups/{index:04}/only"))
                with open(self.path(f"lookups/{index:04}/only/name"), "wb") as file:
                    file.write(b"x")
        return "lookups"

    def _small_file(self, name, chance, least, most, end=b"", base=None):
        body = b"".join(b"%08x\n" % chance.getrandbits(32) for _ in range(chance.randint(least, most) // 9)) + end
        path = os.path.join(base or self.directory, name)
        with open(path, "wb") as file:
            file.write(body)
        age = 1_600_000_000 + chance.randrange(100_000_000)  # times that are no accident of this run
        os.utime(path, (age, age))

    # --- repositories -------------------------------------------------------------------------------------------------

    def make_repository(self, base, name, files):
        path = os.path.join(base, name)
        if self._once((name, base)):
            chance = random.Random(name)
            for index in range(files):
                folder = f"{path}/src/part-{index % 20:02}"
                os.makedirs(folder, exist_ok=True)
                self._small_file(f"{name}/src/part-{index % 20:02}/file-{index:04}.c", chance, 300, 3000, base=base)
            for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
                subprocess.run(["git", "-C", path, *words], check=True, env=self._environment, timeout=300,
                               stdout=subprocess.DEVNULL)
        return path
