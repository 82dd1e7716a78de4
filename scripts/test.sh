#!/usr/bin/env bash
# Sets up this machine, builds everything and runs all tests but the soak runs and the benchmarks.
#
#   scripts/test.sh                   all
#   scripts/test.sh -L unit           only those with a label: unit, contract, e2e, fault, gate, soak, bench
#   scripts/test.sh -R Backoff        whatever else ctest understands
#
# The end-to-end tests mount; where that is not possible the tests fail, they are never skipped.
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd -P)

"$root/scripts/setup.sh"
"$root/scripts/build.sh" release

if [[ ! -c /dev/fuse ]]; then
  modprobe fuse 2>/dev/null || true # udev then makes /dev/fuse
fi
if [[ ! -c /dev/fuse ]]; then
  echo "There is no /dev/fuse, so the tests that mount cannot run. On a machine of your own: sudo modprobe fuse." \
    "In a container: start it with --device /dev/fuse --cap-add SYS_ADMIN." >&2
  exit 1
fi
if [[ ! -r /dev/fuse || ! -w /dev/fuse ]]; then
  echo "This user may not open /dev/fuse, so the tests that mount cannot run. Its usual mode is 0666:" \
    "sudo chmod 666 /dev/fuse, or run the tests as root." >&2
  exit 1
fi

labels=(--label-exclude '^(soak|bench)$')
for argument in "$@"; do
  case $argument in
    -L* | --label-*) labels=() ;; # the caller chooses
  esac
done
exec ctest --test-dir "$root/build/release" --output-on-failure --no-tests=error --parallel "${BT_JOBS:-$(nproc)}" \
  ${labels[0]+"${labels[@]}"} "$@" </dev/null
