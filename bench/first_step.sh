#!/bin/bash
# From the start of athanor train to the end of its first step, at real size (bench/real_size.sh). The first
# run makes the latents and warms the disk, two more are timed. Two minutes on two cores.
#
#   bench/first_step.sh [FOLDER]      FOLDER keeps base, cache and runs: build/save, as bench/save.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. bench/real_size.sh
enter "${1:-$build/save}"
write_job first.toml 1

for run in 'cold' 'warm' 'warm again'; do
    rm -rf runs/first
    began=$EPOCHREALTIME
    "$build/athanor" train first.toml >first.out 2>&1 &
    pid=$!
    until grep -qs first_step_seconds runs/first/log.txt; do
        kill -0 $pid 2>/dev/null || { cat first.out >&2 && exit 1; }
        sleep 0.02
    done
    ended=$EPOCHREALTIME
    wait $pid
    awk -v run="$run" -v s="$began" -v e="$ended" \
        'BEGIN { printf "%-12s %6.2f s from start to the end of the first step\n", run, e - s }'
    grep -oE '(ready=[a-z]+ seconds|first_step_seconds)=[0-9.]+' runs/first/log.txt | sed 's/^/    /'
done
