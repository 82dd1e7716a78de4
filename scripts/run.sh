#!/usr/bin/env bash
# Sets up this machine, builds bt-mount and runs it: with your arguments, or without any the demo.
#
#   scripts/run.sh                    a small workspace, mounted at ~/baseten/demo123/0
#   scripts/run.sh abc1234 ~/mnt      the same as: bt-mount abc1234 ~/mnt
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd -P)

# Standard output belongs to bt-mount.
"$root/scripts/setup.sh" run >/dev/null
"$root/scripts/build.sh" release fs/app/all tests/support/all
if [[ $# -eq 0 ]]; then
  set -- demo
fi
# Started where you are, so that a relative mount point is yours.
exec "$root/build/release/bt-mount" "$@"
