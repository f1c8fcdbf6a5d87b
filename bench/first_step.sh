#!/bin/bash
# From the start of athanor train to the end of its first step, at real size: Stable Diffusion 1.5 with
# random weights (a file of 4.3 GB), LoRA of rank 32 on U-Net and text encoder, 512 px, bf16, one picture a
# step. The first run makes the latents and warms the disk, two more are timed. Two minutes on two cores.
#
#   bench/first_step.sh [FOLDER]      FOLDER keeps base, cache and runs: build/save, as bench/save.sh
set -euo pipefail
cd "$(dirname "$0")/.."
build=$PWD/build
mkdir -p "${1:-$build/save}"
cd "${1:-$build/save}"

[ -e base.safetensors ] || "$build/athanor" init --spec sd15 base.safetensors
[ -e data/1_dog/d.png ] ||
    "$build/tests/make_pictures" data/1_dog/a.png 512 512 1 data/1_dog/b.png 512 512 2 \
        data/1_dog/c.png 512 512 3 data/1_dog/d.png 512 512 4
cat >first.toml <<END
[model]
base = "base.safetensors"
[data]
train = "data"
resolution = 512
[adapter]
rank = 32
[train]
steps = 1
global_batch = 1
mixed = "bf16"
threads = $(nproc)
[save]
every_epochs = 0
END

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
