"""What is to be reached, and whether a run reached it. Only targets for which the run has measurements are told.

The figures of the acceptance tables: at 40 ms and a 4 MiB window without a rate limit, where nothing else is said.
"""

import statistics

MIB = 1 << 20
OURS = "bt-mount"
LANES = 4  # connections that carry bulk data
FRAMING = 256 << 10  # handshakes, requests and padding: bytes on the wire that are no file data


class Measured:
    """Medians by case, program and round trip time, over the links without a rate limit."""

    def __init__(self, samples):
        self._samples = [one for one in samples if not one["link"]["rate"]]

    def all(self, case, rtt, peer=OURS, field="seconds"):
        return [one[field] for one in self._samples if one["case"] == case and one["peer"] == peer and
                one["link"]["rtt_ms"] == rtt and one.get(field) is not None]

    def median(self, case, rtt, peer=OURS, field="seconds"):
        """None when it was not measured."""
        values = self.all(case, rtt, peer, field)
        return statistics.median(values) if values else None

    def slowest_lookups(self, rtt):
        """The 99th percentile over the lookups of all rounds together."""
        waits = [wait for one in self.all("stat-loaded-p99", rtt, field="waits") for wait in one]
        return percentile(waits, 99) if waits else None

    def window(self):
        return self._samples[0]["link"].get("window", 0) if self._samples else 0


def percentile(values, percent):
    """The smallest of `values` that more than `percent` in a hundred of them do not exceed."""
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


def _at_most(name, measured, limit, unit="s"):
    return None if measured is None or limit is None else (name, f"at most {limit:.3g} {unit}", f"{measured:.3g} {unit}",
                                                           measured <= limit)


def _times_as_fast(measured, case, rtt, peer, factor):
    ours, theirs = measured.median(case, rtt), measured.median(case, rtt, peer)
    if ours is None or theirs is None:
        return None
    return f"{case} at {rtt} ms", f"at least {factor} times {peer}", f"{theirs / ours:.2g} times", theirs / ours >= factor


def _far_read(measured):
    """At 150 ms: 80 % of what the link allows, or of what there is at 0 ms."""
    far, near, size = measured.median("seq-cold", 150), measured.median("seq-cold", 0), measured.median(
        "seq-cold", 150, field="bytes")
    if far is None or near is None or not measured.window():
        return None
    allowed = min(size / near, LANES * measured.window() / 0.150) / 1e6
    rate = size / far / 1e6
    return "seq-cold at 150 ms", f"at least 80 % of {allowed:.0f} MB/s", f"{rate:.0f} MB/s", rate >= 0.8 * allowed


def verdicts(samples):
    """(what, target, measured, met) for each target that can be judged."""
    measured = Measured(samples)
    found = [
        _times_as_fast(measured, "seq-cold", 40, "sshfs", 20),
        _times_as_fast(measured, "seq-cold", 40, "rclone", 3),
        _far_read(measured),
        _times_as_fast(measured, "seq-cold", 0, "sshfs", 1.3),
    ]
    for rtt in (0, 40, 150):
        for case in ("warm-remount", "warm-dropped"):
            found.append(_times_as_fast(measured, case, rtt, "rclone", 3))
            wire = measured.median(case, rtt, field="wire_down")
            found.append(_at_most(f"{case} at {rtt} ms: wire", wire and wire / 1024, FRAMING / 1024, "KiB"))
    for rtt in (40, 150):
        found.append(_at_most(f"random-1 at {rtt} ms", measured.median("random-1", rtt), 1.15 * rtt / 1000))
        found.append(_at_most(f"stat-idle-p50 at {rtt} ms", measured.median("stat-idle-p50", rtt), 2 * rtt / 1000))
        found.append(_at_most(f"stat-loaded-p99 at {rtt} ms", measured.slowest_lookups(rtt), 2 * rtt / 1000))
        for case in ("random-1", "random-16"):
            found.append(_at_most(f"{case} at {rtt} ms: wire", measured.median(case, rtt, field="wire_factor"), 2,
                                  "times what was asked for"))
    for case, limit in (("random-16", 0.5), ("find", 0.8), ("ls", 0.8), ("find-big", 4), ("ls-big", 4), ("cat-200", 1.2),
                        ("grep-200", 1.2), ("create-100", 13), ("rsync-up", 35), ("rsync-again", 0.7), ("rsync-down", 2),
                        ("git-status", 3), ("git-status-again", 0.3)):
        found.append(_at_most(f"{case} at 40 ms", measured.median(case, 40), limit))
    for case in ("find-again", "ls-again", "find-big-again", "ls-big-again"):
        local = measured.median(case, 40, "local")
        found.append(_at_most(f"{case} at 40 ms", measured.median(case, 40), local and local + 0.1))
    for case in ("visible-line", "visible-name"):
        found.append(_at_most(f"{case} at 40 ms, the slowest", max(measured.all(case, 40), default=None), 1.2))
    found.append(_times_as_fast(measured, "write-seq", 40, "sshfs", 3))
    return [one for one in found if one is not None]


def table(samples):
    rows = verdicts(samples)
    if not rows:
        return []
    lines = ["| target | limit | bt-mount | met |", "|---|---|---|---|"]
    return lines + [f"| {what} | {limit} | {got} | {'yes' if met else '**no**'} |" for what, limit, got, met in rows]
