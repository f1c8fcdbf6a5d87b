#!/bin/bash
# What saving costs a LoRA run of real size (bench/real_size.sh), measured in one run that saves in every
# other step or so. bench/save then compares the steps. Four to five minutes on two cores.
#
#   bench/save.sh [STEPS [FOLDER]]     40 steps; FOLDER keeps base, cache and runs: build/save
set -euo pipefail
cd "$(dirname "$0")/.."
. bench/real_size.sh
enter "${2:-$build/save}"
write_job job.toml "${1:-40}"
rm -rf runs/save
"$build/athanor" train job.toml --set name=save --set save.state_minutes=0.15
grep 'checkpoint' runs/save/log.txt | tail -n 4
ls -l runs/save/checkpoints
"$build/bench/save" runs/save
