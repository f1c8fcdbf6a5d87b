#!/bin/bash
# What saving costs a LoRA run of real size, measured in one run that saves in every other step or so:
# Stable Diffusion 1.5 with random weights, LoRA of rank 32 on U-Net and text encoder, 512 px, bf16, one
# picture a step. bench/save then compares the steps. Four to five minutes on two cores.
#
#   bench/save.sh [STEPS [FOLDER]]     40 steps; FOLDER keeps base, cache and runs: build/save
set -euo pipefail
cd "$(dirname "$0")/.."
build=$PWD/build
steps=${1:-40}
mkdir -p "${2:-$build/save}"
cd "${2:-$build/save}"

[ -e base.safetensors ] || "$build/athanor" init --spec sd15 base.safetensors
[ -e data/1_dog/d.png ] ||
    "$build/tests/make_pictures" data/1_dog/a.png 512 512 1 data/1_dog/b.png 512 512 2 \
        data/1_dog/c.png 512 512 3 data/1_dog/d.png 512 512 4
cat >job.toml <<END
[model]
base = "base.safetensors"
[data]
train = "data"
resolution = 512
[adapter]
rank = 32
[train]
steps = $steps
global_batch = 1
mixed = "bf16"
threads = $(nproc)
[save]
every_epochs = 0
state_minutes = 0.15
END
rm -rf runs/save
"$build/athanor" train job.toml --set name=save
grep 'checkpoint' runs/save/log.txt | tail -n 4
ls -l runs/save/checkpoints
"$build/bench/save" runs/save
