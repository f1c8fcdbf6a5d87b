# Sourced by the scripts beside it: goes to a folder with a base of Stable Diffusion 1.5 (random weights, a file of
# 4.3 GB) and four pictures, and writes jobs: LoRA of rank 32 on U-Net and text encoder, 512 px, bf16, one
# picture a step.
build=$PWD/build

# enter FOLDER
enter() {
    mkdir -p "$1"
    cd "$1"
    [ -e base.safetensors ] || "$build/athanor" init --spec sd15 base.safetensors
    [ -e data/1_dog/d.png ] ||
        "$build/tests/make_pictures" data/1_dog/a.png 512 512 1 data/1_dog/b.png 512 512 2 \
            data/1_dog/c.png 512 512 3 data/1_dog/d.png 512 512 4
}

# write_job FILE STEPS
write_job() {
    cat >"$1" <<END
[model]
base = "base.safetensors"
[data]
train = "data"
resolution = 512
[adapter]
rank = 32
[train]
steps = $2
global_batch = 1
mixed = "bf16"
threads = $(nproc)
[save]
every_epochs = 0
END
}
