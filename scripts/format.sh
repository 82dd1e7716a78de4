#!/usr/bin/env bash
# Formats our C++ with clang-format 14 (other releases format a little differently).
#
#   scripts/format.sh            rewrites what is not formatted
#   scripts/format.sh --check    only says what is not formatted, and fails
#   scripts/format.sh [--check] FILE...
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

mode=(-i)
if [[ ${1:-} == --check ]]; then
  mode=(--dry-run --Werror)
  shift
fi
formatter=clang-format
if command -v clang-format-14 >/dev/null; then
  formatter=clang-format-14
fi
if [[ $# -gt 0 ]]; then
  exec "$formatter" "${mode[@]}" -- "$@"
fi
find transport cache fs tests -name '*.h' -print0 -o -name '*.cc' -print0 | xargs -0 -r -n 64 -P "$(nproc)" "$formatter" "${mode[@]}" --
