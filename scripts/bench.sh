#!/usr/bin/env bash
# bt-mount beside sshfs (default and tuned), rclone mount, sftp get and ssh cat: one run, one table, one emulated link.
#
#   scripts/bench.sh                 everything, at 0, 40 and 150 ms: some hours
#   scripts/bench.sh --quick         a smoke run of about a minute
#   scripts/bench.sh --cases seq-cold,find --rtt 40 --peers bt-mount,sshfs --rounds 3 --size 1024 --out DIR
#   scripts/bench.sh --help          all options and the names of the cases
#
# Prints Markdown and writes bench.md and bench.json (every sample) to build/bench or --out, as results come: a run that
# is ended early has what it measured. Every content is verified by hash; wrong bytes end the run. Sets up and builds
# what it needs. Needs a usable /dev/fuse; as root it can drop the page cache and abort a mount that hangs.
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd -P)

"$root/scripts/setup.sh" bench >&2
"$root/scripts/build.sh" release bt-mount bt-standin
exec python3 "$root/scripts/bench/main.py" --programs "$root/build/release" --out "$root/build/bench" "$@"
