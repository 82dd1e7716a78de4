"""One run of one case with one program: the tools that cases use, and what they measured."""

import json
import os
import shutil
import sys
import time
from contextlib import contextmanager

import mounts
from processes import StepFailed, StepTimeout, run

WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "worker.py")


class Run:
    """What a case gets. It measures into samples; the caller ends mounts and handles failures."""

    def __init__(self, peer, place, workspace, settings, round_number):
        self.peer = peer
        self.place = place
        self.workspace = workspace
        self.sizes = workspace.sizes
        self.settings = settings
        self.round = round_number
        self.samples = []

    # --- the mount ----------------------------------------------------------------------------------------------------

    def mount_cold(self):
        """Nothing is known of the server, neither in memory nor on disk."""
        self.peer.end()
        self.peer.empty_cache()
        return self.peer.mount()

    def remount(self):
        self.peer.end()
        return self.peer.mount()

    def drop_pages(self, name):
        """`name` and the program's cache leave the page cache; the server keeps its copy there."""
        self.peer.drop_cache_pages()
        if self.settings.drop == "all":
            mounts.drop_everything()
        if self.peer.name == "local":
            mounts.drop_file(self.here(name))
        else:
            self.workspace.warm(name)

    def here(self, name):
        """Through the mount."""
        return os.path.join(self.peer.root, name)

    def there(self, name):
        """On the server's side."""
        return self.workspace.path(name)

    # --- steps --------------------------------------------------------------------------------------------------------

    def work(self, do, seconds=None, **fields):
        """Lets a worker do a piece of work; its answer."""
        out_path = f"{self.place.work}/worker-in"
        with open(out_path, "w") as file:
            json.dump({"do": do, **fields}, file)
        _, text = run(["/bin/sh", "-c", f'exec "$0" "$1" <"{out_path}"', sys.executable, WORKER],
                      seconds or self.settings.timeout, self.place.environment, called=do)
        answer = json.loads(text)
        if answer.get("error"):
            raise StepFailed(answer["error"])
        return answer

    def program(self, *argv, cwd=None, output=None, check=True):
        """Runs a program; (seconds, its output, its exit status)."""
        started = time.perf_counter()
        status, text = run(list(argv), self.settings.timeout, self.place.environment, cwd, output, check)
        return time.perf_counter() - started, text, status

    def scratch(self, name):
        """A fresh name on the client's side."""
        path = f"{self.place.work}/scratch/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.isdir(path):
            shutil.rmtree(path)
        elif os.path.exists(path):
            os.unlink(path)
        return path

    # --- what was measured --------------------------------------------------------------------------------------------

    @contextmanager
    def metered(self):
        """The wire and the processors meanwhile, as a dictionary that is filled at the end."""
        meter = {}
        before = {**self.place.standin.counters(), **(self.peer.usage() if hasattr(self.peer, "usage") else {})}
        yield meter
        after = {**self.place.standin.counters(), **(self.peer.usage() if hasattr(self.peer, "usage") else {})}
        meter.update({name: after[name] - before[name] for name in after if name != "memory"})
        if "memory" in after:
            meter["memory"] = after["memory"]

    def add(self, case, seconds, **more):
        """A sample: `seconds` is what medians and ratios are made of, the rest is told in the JSON and the tables."""
        self.samples.append({"case": case, "peer": self.peer.name, "round": self.round, "seconds": seconds, **more})


__all__ = ["Run", "StepFailed", "StepTimeout"]
