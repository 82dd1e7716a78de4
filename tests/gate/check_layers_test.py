#!/usr/bin/env python3
"""Proves that scripts/check_layers.py refuses what breaks the house's rules, and nothing else."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

CHECK = Path(__file__).resolve().parent.parent.parent / "scripts" / "check_layers.py"


class CheckLayersTest(unittest.TestCase):
    def check(self, files):
        """Runs the check on a tree with these files; returns its exit status and what it said."""
        with tempfile.TemporaryDirectory(prefix="bt-layers-") as root:
            for path, text in files.items():
                file = Path(root, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
            result = subprocess.run([sys.executable, CHECK, "--root", root], capture_output=True, text=True, check=False)
            return result.returncode, result.stderr

    def assert_passes(self, path, text):
        self.assertEqual(self.check({path: text}), (0, ""))

    def assert_refuses(self, path, text, said):
        status, output = self.check({path: text})
        self.assertEqual(status, 1)
        self.assertIn(said, output)

    def test_refuses_an_upward_include_and_says_where(self):
        self.assert_refuses("transport/base/up.cc", "\n#include \"fs/filesystem.h\"\n",
                            "transport/base/up.cc:2 includes fs/filesystem.h: transport/base may not include fs")

    def test_refuses_an_include_past_the_interface(self):
        self.assert_refuses("fs/past.cc", '#include "transport/sftp/codec.h"\n', "fs may not include transport/sftp")
        self.assert_refuses("cache/past.cc", '#include "transport/ssh/lane.h"\n', "cache may not include transport/ssh")
        self.assert_refuses("fs/fuse/past.cc", '#include "cache/x.h"\n', "fs/fuse may not include cache")

    def test_refuses_an_include_between_siblings(self):
        self.assert_refuses("transport/sftp/a.cc", '#include "transport/access/b.h"\n',
                            "transport/sftp may not include transport/access")
        self.assert_refuses("transport/ssh/a.cc", '#include "transport/sftp/codec.h"\n',
                            "transport/ssh may not include transport/sftp")

    def test_refuses_a_decorator_below_the_interface(self):
        self.assert_refuses("transport/sftp/a.cc", '#include "transport/reconnecting_fs.h"\n', "which is above it")

    def test_refuses_tests_outside_tests(self):
        self.assert_refuses("fs/app/main.cc", '#include "tests/support/x.h"\n', "fs/app may not include tests")

    def test_refuses_a_vendor_outside_its_folder(self):
        for path, header, vendor in [("fs/x.cc", "fuse3/fuse_lowlevel.h", "libfuse"),
                                     ("fs/x.cc", "fuse_lowlevel.h", "libfuse"),
                                     ("transport/x.cc", "libssh2.h", "libssh2"),
                                     ("transport/ssh/x.cc", "curl/curl.h", "libcurl"),
                                     ("transport/sftp/x.cc", "openssl/ssl.h", "OpenSSL"),
                                     ("cache/x.cc", "nlohmann/json.hpp", "nlohmann-json"),
                                     ("transport/x.cc", "CLI/CLI.hpp", "CLI11"),
                                     ("fs/fuse/x.cc", "xxhash.h", "xxHash"),
                                     ("fs/app/x.cc", "gtest/gtest.h", "the test libraries")]:
            self.assert_refuses(path, f"#include <{header}>\n", f"{path}:1 includes <{header}>: {vendor} belongs to")

    def test_passes_what_is_in_order(self):
        self.assert_passes("transport/ssh/x.cc", '#include "transport/sftp/message_channel.h"\n#include <libssh2.h>\n')
        self.assert_passes("transport/sftp/x.cc", '#include "transport/remote_fs.h"\n#include <spdlog/spdlog.h>\n')
        self.assert_passes("fs/app/x.cc", '#include "transport/access/x.h"\n#include "fs/fuse/x.h"\n#include <CLI/CLI.hpp>\n')
        self.assert_passes("tests/unit/x.cc", '#include "fs/app/x.h"\n#include <gtest/gtest.h>\n#include <openssl/ssl.h>\n')

    def test_wants_a_header_included_first_by_its_own_source(self):
        files = {"fs/a.h": "#pragma once\n", "fs/a.cc": "#include <string>\n\n#include \"fs/a.h\"\n"}
        status, output = self.check(files)
        self.assertEqual(status, 1)
        self.assertIn("fs/a.cc:1 includes string before its own header fs/a.h", output)

    def test_wants_pragma_once_before_everything_else(self):
        self.assert_passes("fs/a.h", "// What it is.\n#pragma once\n#include <string>\n")
        self.assert_refuses("fs/a.h", "#include <string>\n#pragma once\n", "fs/a.h:1 does not start with #pragma once")

    def test_refuses_threads_without_owner_and_mutexes_without_annotations(self):
        self.assert_refuses("fs/a.cc", "\nvoid F() { std::thread([] {}).detach(); }\n", "fs/a.cc:2 uses std::thread")
        self.assert_refuses("fs/a.cc", "std::mutex mutex;\n", "fs/a.cc:1 uses std::mutex")
        self.assert_passes("fs/a.cc", "auto n = std::thread::hardware_concurrency();\n")

    def test_does_not_take_comments_and_literals_for_code(self):
        self.assert_passes("fs/a.cc", "// not std::thread\n/* nor\nstd::mutex */\nauto s = \"std::async\";\nchar c = '\"';\n")

    def test_refuses_a_file_that_does_more_than_one_job(self):
        self.assert_refuses("fs/long.cc", "int x;\n" * 451, "is too long: 451 lines")
        status, output = self.check({"fs/long.cc": "int x;\n" * 401})
        self.assertEqual(status, 0)
        self.assertIn("warning: fs/long.cc is getting long: 401 lines", output)


if __name__ == "__main__":
    unittest.main()
