#!/usr/bin/env python3
"""bt-mount beside sshfs, rclone mount, sftp and ssh: one run, one table, one emulated link. See scripts/bench.sh."""

import argparse
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import cases_cuts
import cases_metadata
import cases_read
import cases_write
import peers
from link import LinkError, Standin
from processes import StepFailed, StepTimeout
from report import Report, link_name
from runner import Run
from workspace import MIB, Sizes, Workspace, WrongBytes

CASES = {**cases_read.CASES, **cases_metadata.CASES, **cases_write.CASES, **cases_cuts.CASES}
MOUNTS = ["bt-mount", "sshfs", "sshfs-tuned", "rclone"]
GIGABIT = 125_000_000


def say(text):
    print(text, file=sys.stderr, flush=True)


def words(text):
    return [word for word in text.replace(",", " ").split() if word]


def parse(argv):
    parser = argparse.ArgumentParser(prog="bench.sh", description=__doc__,
                                     formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--cases", default="all", help="names, or all: " + " ".join(CASES))
    parser.add_argument("--peers", default="all", help="names, or all: " + " ".join(peers.ALL))
    parser.add_argument("--rtt", default="0,40,150", help="round trip times in ms")
    parser.add_argument("--rate", default="none", help="none, 1gbit, or bytes a second; several: with each of them")
    parser.add_argument("--window", type=int, default=4 * MIB, help="bytes in flight a connection and direction")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=1024, help="MiB of the file that is read in order")
    parser.add_argument("--write-size", type=int, default=256, help="MiB of the file that is written")
    parser.add_argument("--patience", type=float, default=60,
                        help="seconds after which a sequential read stops; its speed is that of what was read")
    parser.add_argument("--timeout", type=float, default=900, help="seconds after which a step counts as hanging")
    parser.add_argument("--drop", choices=["all", "files"], default="all" if os.geteuid() == 0 else "files",
                        help="all: the machine's page cache is dropped where a case asks for it; files: only those of the case")
    parser.add_argument("--out", help="folder for bench.md and bench.json (default: build/bench)")
    parser.add_argument("--work", help="folder for everything else, on the disk to measure (default: temporary)")
    parser.add_argument("--programs", required=True, help=argparse.SUPPRESS)  # bench.sh says where they were built
    parser.add_argument("--bt-arguments", default="", help="more arguments for bt-mount, for example --no-cache")
    parser.add_argument("--quick", action="store_true", help="a smoke run: all cases, tiny sizes, bt-mount and sshfs, 5 ms")
    options = parser.parse_args(argv)
    if options.quick:
        options.rtt, options.rounds, options.patience, options.timeout = "5", 1, 10, 60
        options.peers = "bt-mount,sshfs,local" if options.peers == "all" else options.peers
        options.drop = "files"
    options.sizes = Sizes.quick() if options.quick else Sizes(big=options.size * MIB, write=options.write_size * MIB)
    options.cases = list(CASES) if options.cases == "all" else words(options.cases)
    options.peers = list(peers.ALL) if options.peers == "all" else words(options.peers)
    for name, known in ((options.cases, CASES), (options.peers, peers.ALL)):
        for one in name:
            if one not in known:
                parser.error(f"{one} is not one of {' '.join(known)}")
    rates = {"none": 0, "1gbit": GIGABIT}
    options.links = [{"rtt_ms": int(rtt), "rate": rates.get(rate) if rate in rates else int(rate),
                      "window": options.window} for rate in words(options.rate) for rtt in words(options.rtt)]
    return options


def version(*argv):
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.SubprocessError):
        return "not there"
    return ((done.stdout + done.stderr).strip().splitlines() or ["?"])[0]


def conditions(options):
    return {
        "machine": f"{os.cpu_count()} processors, Linux {platform.release()}; client, server, TLS and emulator share them",
        "link": f"window {options.window / MIB:g} MiB a connection; all but bt-mount dial sshd without TLS and proxy",
        "sizes": f"sequential {options.sizes.big // MIB} MiB, write {options.sizes.write // MIB} MiB, {options.rounds} rounds,"
                 f" patience {options.patience:g} s, page cache dropped: {options.drop}",
        "programs": "; ".join([version(f"{options.programs}/bt-mount", "--version"), version("sshfs", "--version"),
                               version("rclone", "version"), version("ssh", "-V")]),
        "sshfs-tuned": " ".join(peers.Sshfs.TUNED) + " Ciphers=aes128-gcm@openssh.com Compression=no",
    }


def can(peer, case):
    return peer in MOUNTS or peer in CASES[case][3]


def run_once(report, link, case, peer, place, workspace, options, round_number):
    """One case, one program, one round: whatever happens is in the report, and nothing is mounted afterwards."""
    work, _, names, _ = CASES[case]
    say(f"[{time.strftime('%H:%M:%S')}] {case}, {link_name(link)}, round {round_number}: {peer.name}")
    started = time.perf_counter()
    run = Run(peer, place, workspace, options, round_number)
    try:
        work(run)
    except StepTimeout as error:
        peer.abort()
        report.fail(link, names[min(len(run.samples), len(names) - 1)], peer.name, round_number, str(error))
        say(f"    FAILED: {error}")
    except (StepFailed, OSError) as error:
        report.fail(link, names[min(len(run.samples), len(names) - 1)], peer.name, round_number, str(error))
        say(f"    FAILED: {error}")
    finally:
        report.add(link, run.samples)
        place.standin.command("stall", on=False)  # a worker that was killed may have left it
        peer.end()
    for note in peer.notes:
        report.fail(link, names[0], peer.name, round_number, note)
        say(f"    {note}")
    peer.notes.clear()
    for sample in run.samples:
        rate = f", {sample['bytes'] / 1e6 / sample['seconds']:.1f} MB/s" if "bytes" in sample else ""
        say(f"    {sample['case']}: {sample['seconds']:.3f} s{rate}")
    say(f"    took {time.perf_counter() - started:.1f} s in all")


def run_all(report, options, standin, place, workspace, out):
    fleet = {name: peers.ALL[name](name, place) for name in options.peers}
    try:
        for link in options.links:
            for case in options.cases:
                standin.set_link(0, 0, 0)
                standin.set_sftp("tap" if CASES[case][1] else "plain")
                standin.write_login(place.key)  # certificates do not live long
                standin.set_link(link["rtt_ms"], link["rate"], link["window"])
                for round_number in range(1, options.rounds + 1):
                    for name, peer in fleet.items():
                        if can(name, case):
                            run_once(report, link, case, peer, place, workspace, options, round_number)
                            report.save(out)
    finally:
        for peer in fleet.values():
            peer.abort()


def main(argv):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that mounts are ended
    options = parse(argv)
    out = os.path.abspath(options.out or "build/bench")
    os.makedirs(out, exist_ok=True)
    if options.work:
        os.makedirs(options.work, exist_ok=True)
    work = os.path.realpath(tempfile.mkdtemp(prefix="bt-bench.", dir=options.work))
    report = Report(conditions(options))
    standin = None
    status = 0
    try:
        with open(f"{out}/standin.log", "w") as log:
            standin = Standin(f"{options.programs}/bt-standin", f"{work}/standin", log)
            place = peers.Place(standin, work, options.programs, words(options.bt_arguments))
            workspace = Workspace(standin.directory, work, options.sizes, place.environment)
            run_all(report, options, standin, place, workspace, out)
    except WrongBytes as error:
        report.fail({"rtt_ms": -1, "rate": 0}, "all", "all", 0, f"WRONG BYTES: {error}; the run ended here")
        say(f"\n*** WRONG BYTES: {error}\n*** The run ends here.")
        status = 1
    except LinkError as error:
        say(f"bench: the stand-in: {error}")
        status = 1
    except KeyboardInterrupt:
        say("bench: interrupted; what was measured is reported")
        status = 130
    finally:
        if standin is not None:
            standin.close()
        report.save(out)
        shutil.rmtree(work, ignore_errors=True)
    print(report.markdown())
    say(f"bench: {out}/bench.md and {out}/bench.json")
    # The others may fail as they like; bt-mount may not.
    if any(failure["peer"] == "bt-mount" for failure in report.failures):
        status = status or 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
