#!/usr/bin/env python3
"""The benchmark must not be able to lie: wrong bytes are found, ratios point the right way, a hanging step ends."""

import os
import tempfile
import time
import unittest

import targets
import worker
from processes import StepFailed, StepTimeout, run
from report import Report
from workspace import MIB, Sizes, Workspace, WrongBytes

LINK = {"rtt_ms": 40, "rate": 0}


class WrongBytesAreFound(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.workspace = Workspace(self.folder.name, self.folder.name, Sizes(big=2 * MIB, model=8 * MIB, tensor=MIB), {})

    def read(self, path):
        return worker.read({"path": path, "size": 2 * MIB, "patience": 30})["parts"]

    def test_the_servers_bytes_pass(self):
        self.workspace.make_big()
        self.workspace.check_parts("big", self.read(self.workspace.path("big")), 2 * MIB)

    def test_one_flipped_bit_does_not(self):
        self.workspace.make_big()
        with open(self.workspace.path("big"), "rb") as file:
            body = bytearray(file.read())
        body[MIB + 7] ^= 1
        with open(self.workspace.path("other"), "wb") as file:
            file.write(body)
        with self.assertRaises(WrongBytes):
            self.workspace.check_parts("big", self.read(self.workspace.path("other")), 2 * MIB)

    def test_a_file_that_ends_early_does_not(self):
        self.workspace.make_big()
        with open(self.workspace.path("big"), "rb") as file:
            body = file.read(MIB)
        with open(self.workspace.path("short"), "wb") as file:
            file.write(body)
        with self.assertRaises(WrongBytes):
            self.workspace.check_parts("big", self.read(self.workspace.path("short")), 2 * MIB)

    def test_the_tensor_is_where_the_header_says(self):
        name, tensor = self.workspace.make_model()
        answer = worker.read_tensor({"path": self.workspace.path(name), "tensor": tensor, "size": MIB})
        self.assertEqual(answer["parts"][0][1], MIB)
        self.assertGreater(answer["parts"][0][0], 3 * MIB)
        self.workspace.check_parts(name, answer["parts"], MIB)


class StepsEnd(unittest.TestCase):
    def test_a_step_that_hangs_is_ended(self):
        started = time.monotonic()
        with self.assertRaises(StepTimeout):
            run(["sleep", "60"], 0.2)
        self.assertLess(time.monotonic() - started, 30)

    def test_a_step_that_fails_says_why(self):
        with self.assertRaisesRegex(StepFailed, "no-such-file"):
            run(["ls", "/no-such-file"], 30, dict(os.environ, LC_ALL="C"))


class Reports(unittest.TestCase):
    def report(self):
        report = Report({})
        for peer, times in (("bt-mount", [2.0, 1.0, 3.0]), ("sshfs", [40.0, 39.0, 41.0])):
            report.add(LINK, [{"case": "find", "peer": peer, "round": i, "seconds": s} for i, s in enumerate(times)])
        return report

    def test_medians_spread_and_ratio(self):
        self.assertIn("| find | 40 ms | 2.00 s (1.00 s - 3.00 s) | 40.00 s (39.00 s - 41.00 s) [20] |",
                      self.report().markdown())

    def test_a_failure_is_shown(self):
        report = self.report()
        report.fail(LINK, "find", "rclone", 1, "did not end in 3 s")
        text = report.markdown()
        self.assertIn("| failed |", text)
        self.assertIn("did not end in 3 s", text)

    def test_targets_are_judged_by_ratio_and_by_limit(self):
        samples = [{"case": case, "peer": peer, "link": dict(LINK, window=4 * MIB), "seconds": seconds}
                   for case, peer, seconds in (("write-seq", "bt-mount", 2.0), ("write-seq", "sshfs", 5.9),
                                               ("find", "bt-mount", 0.7), ("visible-name", "bt-mount", 0.5),
                                               ("visible-name", "bt-mount", 1.3))]
        met = {what: yes for what, _, _, yes in targets.verdicts(samples)}
        self.assertEqual(met, {"find at 40 ms": True, "visible-name at 40 ms, the slowest": False,
                               "write-seq at 40 ms": False})

    def test_the_slowest_lookups_are_those_of_all_rounds_together(self):
        def met(*rounds):
            samples = [{"case": "stat-loaded-p99", "peer": "bt-mount", "link": LINK, "seconds": max(waits), "waits": waits}
                       for waits in rounds]
            return [yes for *_, yes in targets.verdicts(samples)]

        quick, slow = 0.041, 0.2
        self.assertEqual(met([quick] * 99 + [slow], [quick] * 100), [True])
        self.assertEqual(met([quick] * 99 + [slow], [quick] * 99 + [slow]), [False])

    def test_what_is_saved_is_whole(self):
        with tempfile.TemporaryDirectory() as folder:
            self.report().save(folder)
            self.assertEqual(sorted(os.listdir(folder)), ["bench.json", "bench.md"])


if __name__ == "__main__":
    unittest.main()
