#!/usr/bin/env bash
# The gate before a commit: format, layers, scripts, build, headers, clang-tidy, and the tests that take seconds.
#
#   scripts/check.sh
#
# Stops at the first step that fails. The cheap steps come first, and clang-tidy looks only at what changed.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

step() { printf '== %s\n' "$1"; }
trap '[[ $? -eq 0 ]] || echo "check.sh: the last step above failed; nothing after it ran" >&2' EXIT

step "set-up"
./scripts/setup.sh

step "format (./scripts/format.sh mends it)"
./scripts/format.sh --check

step "layers"
./scripts/check_layers.py

step "shell scripts"
bash -n scripts/*.sh .ci/run
if command -v shellcheck >/dev/null; then
  shellcheck scripts/*.sh .ci/run
else
  echo "shellcheck is not installed; skipped"
fi

step "build"
./scripts/build.sh dev

# A header with a .cc of its own is included first there (check_layers.py sees to that), so it is proved already.
step "headers compile alone"
flags=(-std=c++20 -fsyntax-only -x c++ -Wno-pragma-once-outside-header -I. -isystem build/deps/include)
read -r -a vendor_flags <<<"$(pkg-config --cflags fuse3 openssl libcurl)"
find transport cache fs tests -name '*.h' | while read -r header; do
  [[ -f ${header%.h}.cc ]] || printf '%s\0' "$header"
done | xargs -0 -r -n 1 -P "$(nproc)" clang++ "${flags[@]}" "${vendor_flags[@]}"

step "clang-tidy"
./scripts/tidy.py

step "tests: unit, contract, gate"
ctest --preset dev --no-tests=error --parallel "$(nproc)" --label-regex '^(unit|contract|gate)$' </dev/null
