#!/usr/bin/env bash
# Configures a preset where needed and builds it. Says nothing when everything is up to date.
#
#   scripts/build.sh PRESET [TARGET...]     dev, release, asan, tsan, fuzz
#
# What is said goes to standard error. BT_JOBS sets the number of compilers at a time.
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd -P)

if [[ $# -eq 0 ]]; then
  sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
fi
preset=$1
shift
directory=$root/build/$preset

# One compiler for each processor, but never more than fit into memory (a test with sanitizers takes about 1 GiB).
jobs=$(nproc)
fit=$(awk '/^MemAvailable:/ {print int($2 / 1048576)}' /proc/meminfo)
if ((fit < jobs)); then
  jobs=$((fit > 0 ? fit : 1))
fi
jobs=${BT_JOBS:-$jobs}

# Several work trees of one repository share what was compiled: paths below the tree do not count.
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1

# A preset that changed must be read again; a CMakeLists.txt that changed is noticed by ninja.
log=$directory/configure.log
if [[ ! -f $directory/build.ninja || ! -f $log || $root/CMakePresets.json -nt $log ]]; then
  echo "Configuring the preset $preset in $directory" >&2
  if command -v ccache >/dev/null; then
    export CMAKE_CXX_COMPILER_LAUNCHER=ccache
  fi
  mkdir -p "$directory"
  if ! (cd "$root" && cmake --preset "$preset") >"$log.failed" 2>&1 </dev/null; then
    cat "$log.failed" >&2
    echo "Configuring failed; the lines above say why. If they name a missing package, run ./scripts/setup.sh;" \
      "if they make no sense, remove $directory and try again." >&2
    exit 1
  fi
  mv "$log.failed" "$log"
fi

# A dry run tells whether there is anything to do, which is the only moment when there is anything to say.
if [[ $(ninja -C "$directory" -n "$@" 2>/dev/null) == *"no work to do"* ]]; then
  exit 0
fi
echo "Building the preset $preset in $directory" >&2
if ! ninja -C "$directory" -j "$jobs" "$@" >&2 </dev/null; then
  echo "The build failed; the lines above say where." >&2
  exit 1
fi
