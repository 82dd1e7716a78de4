#!/usr/bin/env python3
"""Proves that a gate refuses what it is there to refuse, and lets pass what is in order.

    tests/gate/prove.py asan|ubsan|tsan|thread-safety|tidy

The sanitizers are those of the presets in CMakePresets.json, the checks those of .clang-tidy: a gate that was switched
off there fails here.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LANGUAGE = ["-std=c++20", f"-I{ROOT}"]


class Failed(Exception):
    pass


def run(command, **options):
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, **options)


def sanitizers(preset):
    presets = json.loads((ROOT / "CMakePresets.json").read_text(encoding="utf-8"))["configurePresets"]
    for entry in presets:
        if entry["name"] == preset:
            return entry["cacheVariables"]["BT_SANITIZE"]
    raise Failed(f"CMakePresets.json has no preset {preset}")


def expect_refusal(result, words, gate):
    said = result.stdout + result.stderr
    if result.returncode == 0:
        raise Failed(f"{gate} let it pass:\n{said}")
    for word in words:
        if word not in said:
            raise Failed(f"{gate} refused, but did not say \"{word}\":\n{said}")


def expect_pass(result, gate):
    if result.returncode != 0:
        raise Failed(f"{gate} refused what is in order:\n{result.stdout}{result.stderr}")


def prove_sanitizer(preset, source, words):
    flags = LANGUAGE + ["-O1", "-g", f"-fsanitize={sanitizers(preset)}", "-fno-omit-frame-pointer",
                        "-fno-sanitize-recover=all"]
    with tempfile.TemporaryDirectory(prefix="bt-gate-") as directory:
        for name in (source, "clean.cc"):
            program = os.path.join(directory, name.removesuffix(".cc"))
            built = run(["g++", *flags, str(HERE / name), "-o", program])
            if built.returncode != 0:
                raise Failed(f"{name} did not compile:\n{built.stderr}")
            result = run([program])
            if name == source:
                expect_refusal(result, words, preset)
            else:
                expect_pass(result, preset)


def prove_thread_safety():
    command = ["clang++", *LANGUAGE, "-fsyntax-only", "-Wthread-safety", "-Werror"]
    expect_refusal(run([*command, str(HERE / "unguarded_access.cc")]), ["requires holding mutex 'mutex_'"], "clang++")
    expect_pass(run([*command, str(HERE / "clean.cc")]), "clang++")


def prove_tidy():
    def tidy(name):
        return run(["clang-tidy", "--quiet", f"--config-file={ROOT / '.clang-tidy'}", str(HERE / name), "--", *LANGUAGE])

    # .clang-tidy itself asks for -Wthread-safety, so it is not among the arguments here.
    expect_refusal(tidy("unguarded_access.cc"), ["clang-diagnostic-thread-safety-analysis"], "clang-tidy")
    expect_refusal(tidy("camel_back.cc"), ["readability-identifier-naming", "bugprone-use-after-move"], "clang-tidy")
    expect_pass(tidy("clean.cc"), "clang-tidy")


PROOFS = {
    "asan": lambda: prove_sanitizer("asan", "use_after_free.cc", ["AddressSanitizer: heap-use-after-free"]),
    "ubsan": lambda: prove_sanitizer("asan", "signed_overflow.cc", ["runtime error: signed integer overflow"]),
    "tsan": lambda: prove_sanitizer("tsan", "data_race.cc", ["ThreadSanitizer: data race"]),
    "thread-safety": prove_thread_safety,
    "tidy": prove_tidy,
}


def main():
    if len(sys.argv) != 2 or sys.argv[1] not in PROOFS:
        sys.exit(f"use it as: prove.py {'|'.join(PROOFS)}")
    try:
        PROOFS[sys.argv[1]]()
    except (Failed, OSError) as problem:
        sys.exit(f"{sys.argv[1]}: {problem}")


if __name__ == "__main__":
    main()
