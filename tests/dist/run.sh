#!/bin/bash
# A test on N ranks, and once more on one: what both say of the parameters must be equal.
#     run.sh PROGRAM N [ARGUMENTS ...]
set -euo pipefail
program=$1 n=$2
shift 2
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
# The program sets as much itself where it starts mpirun; here mpirun is ours for one rank.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# One rank never touches MPI: here leaks of ours are found. With MPI they cannot be looked for: Open MPI
# keeps memory to the end, allocated by plugins that are unloaded by then, which no suppression can name.
"$program" 1 "$@" >"$temp/one" 2>&1 || { cat "$temp/one"; exit 1; }
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0"
# Nor are Open MPI's own locks ours to order.
export TSAN_OPTIONS="${TSAN_OPTIONS:+$TSAN_OPTIONS:}detect_deadlocks=0:ignore_noninstrumented_modules=1"
if [ "$n" = 1 ]; then
    mpirun -q -n 1 "$program" 0 "$@" >"$temp/many" 2>&1 || { cat "$temp/many"; exit 1; }
else
    "$program" "$n" "$@" >"$temp/many" 2>&1 || { cat "$temp/many"; exit 1; }
fi
cat "$temp/many"
[ "$(grep -c ' passed, 0 failed' "$temp/many")" = "$n" ] || { echo "FAILED: not $n ranks"; exit 1; }
grep digest "$temp/one" >"$temp/digest_one"
grep digest "$temp/many" | diff "$temp/digest_one" - || { echo "FAILED: other bits than one rank"; exit 1; }
